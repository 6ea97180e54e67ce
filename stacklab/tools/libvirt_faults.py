"""Change a domain's NICs in libvirt's XML, for faults. Pure."""

from __future__ import annotations

import xml.etree.ElementTree as ET


def interface(domain_xml: str, mac: str) -> str:
    """Return the element of the NIC of that MAC; "" when the domain lacks it."""
    if not domain_xml:
        return ""
    for element in ET.fromstring(domain_xml).iterfind("devices/interface"):
        address = element.find("mac")
        if address is not None and address.get("address") == mac:
            return ET.tostring(element, encoding="unicode").strip()
    return ""


def with_link(interface_xml: str, *, is_up: bool) -> str:
    """Return the same NIC with its cable in or out."""
    top = ET.fromstring(interface_xml)
    for link in top.findall("link"):
        top.remove(link)
    ET.SubElement(top, "link", state="up" if is_up else "down")
    return ET.tostring(top, encoding="unicode")


def to_plug(interface_xml: str) -> str:
    """Return the NIC as it can be plugged in again: same MAC, tap, network and slot, cable in."""
    top = ET.fromstring(with_link(interface_xml, is_up=True))
    source = top.find("source")
    if source is not None and source.get("network"):
        # These belong to the port that the NIC had; libvirt makes a new one.
        for name in ("portid", "bridge"):
            source.attrib.pop(name, None)
    return ET.tostring(top, encoding="unicode")
