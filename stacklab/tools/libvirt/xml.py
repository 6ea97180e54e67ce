"""libvirt's XML for what we make through it: networks and the pool. Pure."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stacklab.model.lab import Lab, Network, NetworkMode

# OpenStack does not survive a change of HOST_IP, nor a lease that ran out.
_LEASE_MINUTES = 7 * 24 * 60


@dataclass(frozen=True, slots=True)
class NicSource:
    """What a NIC is connected to, in libvirt's words: a kind, and the attributes of <source>."""

    kind: str  # network, bridge or direct
    attributes: Mapping[str, str]

    @classmethod
    def network(cls, name: str) -> NicSource:
        """Return a network of libvirt's."""
        return cls("network", {"network": name})

    @classmethod
    def bridge(cls, name: str) -> NicSource:
        """Return a bridge of the host's."""
        return cls("bridge", {"bridge": name})

    @classmethod
    def device(cls, name: str) -> NicSource:
        """Return an interface of the host's, for macvtap."""
        return cls("direct", {"dev": name, "mode": "bridge"})


def network(lab: Lab, declared: Network, uuid: str, *, name: str) -> str:
    """Return a network with fixed leases and names for its nodes; `bridged` is not ours to make.

    Without the host, <ip> is left out: the bridge lacks an address, and dnsmasq does not run.
    """
    top = ET.Element("network")
    _add_text(top, "name", name)
    _add_text(top, "uuid", uuid)
    if declared.mode is NetworkMode.NAT:
        ET.SubElement(top, "forward", mode="nat")
    # No spanning tree, no delay: a port forwards at once instead of after 2 s.
    ET.SubElement(top, "bridge", name=declared.bridge, stp="off", delay="0")
    ET.SubElement(top, "mtu", size=str(declared.mtu))
    if declared.has_host:
        ET.SubElement(top, "domain", name=lab.name, localOnly="yes")
        _add_host(top, lab, declared)
    ET.indent(top)
    return ET.tostring(top, encoding="unicode") + "\n"


def _add_host(top: ET.Element, lab: Lab, declared: Network) -> None:
    """Add the host's address, and what its dnsmasq answers there."""
    dns = ET.SubElement(top, "dns")
    prefix = str(declared.cidr.prefixlen)
    address = ET.SubElement(top, "ip", address=str(declared.host_address), prefix=prefix)
    # Only a node's access NIC asks by DHCP. Without a range, only declared nodes get an address.
    members = lab.members(declared.name)
    access = [(node, nic) for node, nic in members if nic is node.access]
    if not access:
        return
    dhcp = ET.SubElement(address, "dhcp")
    for node, nic in access:
        ip = str(nic.address.ip)
        name = ET.SubElement(dns, "host", ip=ip)
        _add_text(name, "hostname", node.name)
        lease = ET.SubElement(dhcp, "host", mac=nic.mac, name=node.name, ip=ip)
        ET.SubElement(lease, "lease", expiry=str(_LEASE_MINUTES), unit="minutes")


def _add_text(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, name).text = text


def pool(name: str, directory: Path) -> str:
    """Return a directory pool: where Vagrant finds the disks that we put there."""
    top = ET.Element("pool", type="dir")
    _add_text(top, "name", name)
    target = ET.SubElement(top, "target")
    _add_text(target, "path", str(directory))
    return ET.tostring(top, encoding="unicode")


def pool_path(xml: str) -> Path | None:
    """Return the directory of an existing pool."""
    path = ET.fromstring(xml).findtext("target/path")
    return Path(path) if path else None


def host_cpu(capabilities: str) -> tuple[str, ...]:
    """Return this host's processor as libvirt names it: its model, then its features, sorted."""
    top = ET.fromstring(capabilities)
    features = [element.get("name", "") for element in top.iterfind("host/cpu/feature")]
    return (top.findtext("host/cpu/model", ""), *sorted(features))


def qemu_uid(capabilities: str) -> int:
    """Return the id of the user as whom libvirt starts QEMU; 0 where it names none."""
    label = ET.fromstring(capabilities).findtext("host/secmodel[model='dac']/baselabel", "")
    user = re.fullmatch(r"\+(\d{1,10}):\+\d{1,10}", label)
    return int(user[1]) if user else 0


def machine_types(capabilities: str) -> frozenset[str]:
    """Return the machine types that this host's QEMU has for x86_64, by their full names."""
    machines = ET.fromstring(capabilities).iterfind("guest/arch[@name='x86_64']//machine")
    return frozenset(machine.text or "" for machine in machines)


def interfaces(domain_xml: str) -> tuple[tuple[str, str, str], ...]:
    """Return a running domain's NICs: (MAC, libvirt network or bridge, tap on the host)."""
    nics = []
    for interface in interface_elements(domain_xml):
        mac = child_attribute(interface, "mac", "address")
        network = child_attribute(interface, "source", "network")
        # A NIC on a bridge of the host's is not on a network of libvirt's.
        bridge = child_attribute(interface, "source", "bridge")
        tap = child_attribute(interface, "target", "dev")  # missing while the domain is off
        nics.append((mac, network or bridge, tap))
    return tuple(nics)


def interface_elements(domain_xml: str) -> Iterator[ET.Element]:
    """Return the elements of a domain's NICs."""
    return ET.fromstring(domain_xml).iterfind("devices/interface")


def without_backing_stores(saved_xml: str) -> str:
    """Return the domain of a save file without its word on what lies below its disks.

    After a restart of libvirtd, the XML of a save file lists what lay below each disk when it was
    saved (libvirt 9.0). Taken at its word, libvirt would leave out the disk that was frozen since,
    and the guest would read what lies below that one. Without the list libvirt reads the headers
    of the disks.
    """
    domain = ET.fromstring(saved_xml)
    for disk in domain.iterfind("devices/disk"):
        for below in disk.findall("backingStore"):
            disk.remove(below)
    return ET.tostring(domain, encoding="unicode") + "\n"


def child_attribute(parent: ET.Element, child: str, name: str) -> str:
    """Return an attribute of a child element; "" where either is missing."""
    element = parent.find(child)
    if element is None:
        return ""
    return element.get(name, "")
