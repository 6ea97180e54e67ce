"""A domain's NICs in libvirt's XML, as faults change them. Pure."""

from __future__ import annotations

import xml.etree.ElementTree as ET


def interface(domain_xml: str, mac: str) -> str:
    """The NIC of that MAC, whole; "" when the domain has none."""
    if not domain_xml:
        return ""
    for found in ET.fromstring(domain_xml).iterfind("devices/interface"):
        address = found.find("mac")
        if address is not None and address.get("address") == mac:
            return ET.tostring(found, encoding="unicode").strip()
    return ""


def with_link(interface_xml: str, *, is_up: bool) -> str:
    """The same NIC with its cable in or out."""
    top = ET.fromstring(interface_xml)
    for link in top.findall("link"):
        top.remove(link)
    ET.SubElement(top, "link", state="up" if is_up else "down")
    return ET.tostring(top, encoding="unicode")


def to_plug(interface_xml: str) -> str:
    """The NIC as it can be plugged in again: with its MAC, tap, network and slot, its cable in."""
    top = ET.fromstring(with_link(interface_xml, is_up=True))
    source = top.find("source")
    if source is not None and source.get("network"):
        # Of the port that it had; libvirt makes another.
        for name in ("portid", "bridge"):
            source.attrib.pop(name, None)
    return ET.tostring(top, encoding="unicode")
