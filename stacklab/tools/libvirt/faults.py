"""Change a domain's NICs in libvirt's XML, for faults. Pure."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from stacklab.tools.libvirt.xml import child_attribute, interface_elements


def interface(domain_xml: str, mac: str) -> str:
    """Return the element of the NIC of that MAC; "" when the domain lacks it."""
    if not domain_xml:
        return ""
    for element in interface_elements(domain_xml):
        if child_attribute(element, "mac", "address") == mac:
            # Without the indentation that followed it in the domain.
            return ET.tostring(element, encoding="unicode").strip()
    return ""


def with_link(interface_xml: str, *, is_up: bool) -> str:
    """Return the same NIC with its cable in or out."""
    top = ET.fromstring(interface_xml)
    for link in top.findall("link"):
        top.remove(link)
    state = "up" if is_up else "down"
    ET.SubElement(top, "link", state=state)
    return ET.tostring(top, encoding="unicode")


def to_plug(interface_xml: str) -> str:
    """Return the NIC as it can be plugged in again: same MAC, tap, network and slot, cable in."""
    top = ET.fromstring(with_link(interface_xml, is_up=True))
    # Of a NIC on a network of libvirt's, these belong to the port that it had; libvirt makes a
    # new one. On a bridge of the host's, `bridge` is where the NIC belongs.
    for source in top.iterfind("source[@network]"):
        for name in ("portid", "bridge"):
            source.attrib.pop(name, None)
    return ET.tostring(top, encoding="unicode")
