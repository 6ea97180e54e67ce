"""Teach a network of libvirt's that runs which nodes there are: their DNS names and leases.

A network that is defined again does not take that over while it runs, and one that is stopped for
it takes its nodes' links away. libvirt's own call for it changes an entry at a time.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import libvirt


class NetworkSection(Enum):
    """Parts of a network in which hosts are listed: where, and libvirt's number."""

    DNS = ("dns/host", libvirt.VIR_NETWORK_SECTION_DNS_HOST)
    DHCP = ("ip/dhcp/host", libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST)


class RunningNetwork(Protocol):
    """What is needed of libvirt's own object."""

    def XMLDesc(self) -> str:
        """Return the network as it runs."""
        ...

    def update(self, command: int, section: int, parentIndex: int, xml: str, flags: int) -> object:
        """Change one entry of it."""
        ...


@dataclass(frozen=True, slots=True)
class HostUpdate:
    """An entry that is to be added or deleted."""

    section: NetworkSection
    is_added: bool
    xml: str


def update(network: RunningNetwork, wanted_xml: str) -> None:
    """Give a network that runs the names and leases of that XML; raises libvirt's error."""
    flags = libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE | libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG
    for one in updates(network.XMLDesc(), wanted_xml):
        command = libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE
        if one.is_added:
            command = libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST
        _place, number = one.section.value
        network.update(command, number, -1, one.xml, flags)


def updates(actual_xml: str, wanted_xml: str) -> tuple[HostUpdate, ...]:
    """Return what leads from one network's entries to another's, deletions first."""
    # An entry with an address, a MAC or a name of another one can't be added.
    changes = tuple(_differences(ET.fromstring(actual_xml), ET.fromstring(wanted_xml)))
    return tuple(sorted(changes, key=lambda one: one.is_added))


def _differences(actual: ET.Element, wanted: ET.Element) -> Iterator[HostUpdate]:
    for section in NetworkSection:
        place, _number = section.value
        before, after = _entries(actual, place), _entries(wanted, place)
        for key in before.keys() - after.keys():
            yield HostUpdate(section, is_added=False, xml=before[key])
        for key in after.keys() - before.keys():
            yield HostUpdate(section, is_added=True, xml=after[key])


def _entries(network: ET.Element, place: str) -> dict[tuple[str, ...], str]:
    """Return the entries of a section as XML, by all that tells them apart."""
    entries: dict[tuple[str, ...], str] = {}
    for host in network.iterfind(place):
        names = [name.text or "" for name in host.iterfind("hostname")]
        # How long a lease lasts tells nothing: libvirt writes it in another unit.
        key = (host.get("ip", ""), host.get("mac", ""), host.get("name", ""), *names)
        host.tail = None
        entries[key] = ET.tostring(host, encoding="unicode")
    return entries
