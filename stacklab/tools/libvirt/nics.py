"""Add a NIC to a domain of libvirt's for good: as it runs, and as it is defined.

The NIC gets the PCI slot behind those of the NICs that are there. libvirt would choose one itself,
but the running domain's may then differ from the defined one's; and a kernel without predictable
names calls NICs eth0, eth1 in the order of their slots, so a NIC in a slot in front of another one
would take that one's name at the next boot.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Protocol

import libvirt

from stacklab.errors import ProviderError
from stacklab.tools.libvirt.xml import NicSource, child_attribute, interface_elements

_LAST_SLOT = 31  # of a PCI bus
_NO_SLOT = -1


class Domain(Protocol):
    """What is needed of libvirt's own object."""

    def XMLDesc(self, flags: int = 0) -> str:
        """Return the domain as it runs, or as it is defined."""
        ...

    def isActive(self) -> int:
        """Return whether it runs."""
        ...

    def attachDeviceFlags(self, xml: str, flags: int = 0) -> object:
        """Add a device to it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNic:
    """A NIC to be added; `number` counts the node's NICs from 0."""

    mac: str
    number: int
    source: NicSource


def why_no_plug(domain_xml: str) -> str:
    """Return why no NIC can be added to a domain; "" if one can, or if there is no domain."""
    if not domain_xml:
        return ""
    machine = ET.fromstring(domain_xml).find("os/type")
    name = machine.get("machine", "") if machine is not None else ""
    # pc, pc-i440fx-7.2, pc-1.0: a bus on which slots are free. q35's root bus takes nothing in.
    if name.startswith("pc") and "q35" not in name:
        return ""
    return f"a machine of type {name or 'unknown'} has no free PCI slot to plug it into"


def add(domain: Domain, nic: NewNic) -> None:
    """Add the NIC to what runs and to what is defined, where it is missing.

    Raises libvirt's error, and ProviderError where no slot is free.
    """
    defined = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    places = {libvirt.VIR_DOMAIN_AFFECT_CONFIG: defined}
    if domain.isActive():
        places[libvirt.VIR_DOMAIN_AFFECT_LIVE] = domain.XMLDesc()
    slots = {flag: _slot_of(xml, nic.mac) for flag, xml in places.items()}
    lacking = [flag for flag, slot in slots.items() if slot is None]
    if not lacking:
        return
    # A libvirtd that was killed half-way has it in one of them: the other gets the same slot.
    known = [slot for slot in slots.values() if slot is not None and slot != _NO_SLOT]
    slot = known[0] if known else _free_slot(*places.values())
    domain.attachDeviceFlags(element(nic, slot), sum(lacking))


def element(nic: NewNic, slot: int) -> str:
    """Return the NIC in libvirt's XML, as vagrant-libvirt makes one, in that PCI slot."""
    top = ET.Element("interface", type=nic.source.kind)
    ET.SubElement(top, "alias", name=f"ua-net-{nic.number}")
    ET.SubElement(top, "mac", address=nic.mac)
    ET.SubElement(top, "source", dict(nic.source.attributes))
    ET.SubElement(top, "model", type="virtio")
    if nic.source.kind == "network":
        ET.SubElement(top, "driver", iommu="off")
    place = {"domain": "0x0000", "bus": "0x00", "slot": f"0x{slot:02x}", "function": "0x0"}
    ET.SubElement(top, "address", {"type": "pci", **place})
    return ET.tostring(top, encoding="unicode")


def _slot_of(domain_xml: str, mac: str) -> int | None:
    """Return the slot of a domain's NIC, _NO_SLOT if that is not known; None without the NIC."""
    for interface in interface_elements(domain_xml):
        if child_attribute(interface, "mac", "address").lower() == mac.lower():
            return _slot(interface)
    return None


def _free_slot(*domain_xmls: str) -> int:
    """Return the first slot behind all NICs that no device of any of these has."""
    taken: set[int] = set()
    last_nic = 0
    for xml in domain_xmls:
        for device in ET.fromstring(xml).iterfind("devices/*"):
            slot = _slot(device)
            taken.add(slot)
            if device.tag == "interface":
                last_nic = max(last_nic, slot)
    for slot in range(last_nic + 1, _LAST_SLOT + 1):
        if slot not in taken:
            return slot
    raise ProviderError(
        "no PCI slot is free behind those of the node's NICs",
        hint="use fewer networks in the lab's spec",
    )


def _slot(device: ET.Element) -> int:
    """Return a device's PCI slot; _NO_SLOT where it does not have one."""
    address = device.find("address[@type='pci']")
    return int(address.get("slot", "0"), 16) if address is not None else _NO_SLOT
