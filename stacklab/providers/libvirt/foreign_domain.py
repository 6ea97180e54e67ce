"""A domain's XML that came from elsewhere: made anew from what our own nodes have.

libvirtd runs as root and starts whatever the XML says: programs, files and devices of this
host. So the XML is held against a list of what the domain of a node has, and every name,
path and number in it that we know is replaced by ours. What is not on the list is refused.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stacklab.tools.libvirt.xml import NicSource

_MOST_XML_BYTES = 256 * 1024
_HEX = r"0x[0-9a-f]{1,4}"
_WORD = r"[A-Za-z0-9._-]{1,64}"
_NUMBER = r"[0-9]{1,12}"
_TEXT = r"[^\x00]{0,4096}"  # replaced by ours, or dropped
_SWITCH = "on|off|yes|no"
_MOST_BACKING = 200  # disks one below the other


class ForeignDomain(ValueError):
    """A domain that has what no node of ours has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nic:
    """A node's NIC as libvirt has to plug it in."""

    mac: str
    source: NicSource


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeHere:
    """What a node's domain is on this host."""

    name: str
    uuid: str
    title: str
    description: str
    driver: str  # kvm or qemu
    cpu_mode: str
    cpu_model: str  # "" where the mode says it all
    machines: frozenset[str]  # machine types that this host's QEMU has
    cpus: int
    memory_kib: int
    overlay: Path
    seed: Path
    console: Path
    nics: tuple[Nic, ...]


@dataclass(frozen=True, slots=True)
class _Shape:
    """What an element may have: attributes and text by pattern, and other elements."""

    attributes: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    children: Mapping[str, _Shape] = field(default_factory=dict)


_PCI = _Shape(
    {
        "type": "pci",
        "domain": _HEX,
        "bus": _HEX,
        "slot": _HEX,
        "function": _HEX,
        "multifunction": _SWITCH,
    }
)
_ALIAS = _Shape({"name": _WORD})
_EMPTY = _Shape()
_SERIAL = _Shape(
    {"type": "file|pty"},
    children={
        "source": _Shape({"path": _TEXT, "append": _SWITCH}),
        "target": _Shape(
            {"type": "isa-serial|serial", "port": "[01]"},
            children={"model": _Shape({"name": "isa-serial"})},
        ),
        "alias": _ALIAS,
    },
)


def _backing_stores(depth: int) -> _Shape:
    """Return the shape of what lies below a disk that runs; each snapshot puts one more there."""
    shape = _EMPTY
    for _ in range(depth):
        shape = _Shape(
            {"type": "file", "index": _NUMBER},
            children={
                "format": _Shape({"type": "qcow2|raw"}),
                "source": _Shape({"file": _TEXT}),
                "backingStore": shape,
            },
        )
    return shape


_DEVICES = {
    # Dropped: libvirt knows where its QEMU is.
    "emulator": _Shape(text=r"/usr/(bin|libexec)/(qemu-system-x86_64|qemu-kvm|kvm)"),
    "disk": _Shape(
        {"type": "file", "device": "disk"},
        children={
            "driver": _Shape(
                {"name": "qemu", "type": "qcow2|raw", "cache": "unsafe", "discard": "unmap"}
            ),
            "source": _Shape({"file": _TEXT, "index": _NUMBER}),
            "target": _Shape({"dev": "vda|vdb", "bus": "virtio"}),
            # Dropped: what is below a disk is what its own header says, which is looked at.
            "backingStore": _backing_stores(_MOST_BACKING),
            "alias": _ALIAS,
            "address": _PCI,
        },
    ),
    "controller": _Shape(
        {"type": "usb|pci", "index": _NUMBER, "model": "piix3-uhci|pci-root"},
        children={"alias": _ALIAS, "address": _PCI},
    ),
    "interface": _Shape(
        {"type": "network|bridge|direct"},
        children={
            "mac": _Shape({"address": r"[0-9a-fA-F:]{17}"}),
            "source": _Shape(
                {"network": _TEXT, "bridge": _TEXT, "dev": _TEXT, "mode": "bridge", "portid": _WORD}
            ),
            "target": _Shape({"dev": r"(vnet|macvtap)[0-9]{1,6}"}),
            "link": _Shape({"state": "up"}),
            "model": _Shape({"type": "virtio"}),
            "driver": _Shape({"iommu": _SWITCH, "name": "vhost|qemu", "queues": _NUMBER}),
            "mtu": _Shape({"size": _NUMBER}),
            "alias": _ALIAS,
            "address": _PCI,
        },
    ),
    "serial": _SERIAL,
    "console": _SERIAL,
    "input": _Shape(
        {"type": "mouse|keyboard", "bus": "ps2"}, children={"alias": _ALIAS, "address": _PCI}
    ),
    "audio": _Shape({"id": "1", "type": "none"}),
    "memballoon": _Shape({"model": "none"}),
    "rng": _Shape(
        {"model": "virtio"},
        children={
            "backend": _Shape({"model": "random"}, text=r"/dev/u?random"),
            "alias": _ALIAS,
            "address": _PCI,
        },
    ),
}
_DOMAIN = _Shape(
    {"type": "kvm|qemu"},
    children={
        "name": _Shape(text=_TEXT),
        "uuid": _Shape(text=_TEXT),
        "title": _Shape(text=_TEXT),
        "description": _Shape(text=_TEXT),
        "memory": _Shape({"unit": "KiB"}, _NUMBER),
        "currentMemory": _Shape({"unit": "KiB"}, _NUMBER),
        "vcpu": _Shape({"placement": "static"}, _NUMBER),
        # Of a domain that ran: where its cgroup was. libvirt makes another one.
        "resource": _Shape(children={"partition": _Shape(text="/machine")}),
        "os": _Shape(
            children={
                "type": _Shape({"arch": "x86_64", "machine": _WORD}, "hvm"),
                "boot": _Shape({"dev": "hd"}),
                "bootmenu": _Shape({"enable": _SWITCH}),
            }
        ),
        "features": _Shape(children={"acpi": _EMPTY, "apic": _EMPTY, "pae": _EMPTY}),
        "cpu": _Shape(
            {
                "mode": "custom|host-passthrough",
                "match": "exact",
                "check": "none|partial|full",
                "migratable": _SWITCH,
            },
            children={
                "model": _Shape({"fallback": "allow|forbid"}, _WORD),
                "vendor": _Shape(text=_WORD),
                "feature": _Shape(
                    {"policy": "force|require|optional|disable|forbid", "name": _WORD}
                ),
            },
        ),
        "clock": _Shape(
            {"offset": "utc"},
            children={
                "timer": _Shape(
                    {"name": _WORD, "tickpolicy": "delay|catchup|merge|discard", "present": _SWITCH}
                )
            },
        ),
        "on_poweroff": _Shape(text="destroy"),
        "on_reboot": _Shape(text="restart"),
        "on_crash": _Shape(text="destroy"),
        "devices": _Shape(children=_DEVICES),
        "seclabel": _Shape(
            {"type": "dynamic", "model": "dac|selinux|apparmor", "relabel": "yes"},
            children={"label": _Shape(text=_TEXT), "imagelabel": _Shape(text=_TEXT)},
        ),
    },
)
# What libvirt makes anew on each host, by the parent's path.
_DROPPED = {
    ".": ("resource", "seclabel"),
    "devices": ("emulator",),
    "devices/disk": ("backingStore",),
    "devices/interface": ("target", "link"),
}


def relocated(xml: str, wanted: NodeHere) -> str:
    """Return the same domain as this host has to have it; raises ForeignDomain."""
    domain = _read(xml)
    _refuse_unknown(domain, _DOMAIN, "domain")
    for path, tags in _DROPPED.items():
        for parent in domain.findall(path):
            for element in [child for child in parent if child.tag in tags]:
                parent.remove(element)
    _set_identity(domain, wanted)
    _refuse_other_machine(domain, wanted)
    _set_disks(domain, wanted)
    _set_nics(domain, wanted)
    _set_consoles(domain, wanted)
    return ET.tostring(domain, encoding="unicode") + "\n"


def _read(xml: str) -> ET.Element:
    if len(xml) > _MOST_XML_BYTES:
        raise ForeignDomain(f"its domain has {len(xml)} characters")
    # Entities may grow without end, and a document type may name files. libvirt writes neither.
    if "<!" in xml or "<?" in xml:
        raise ForeignDomain("its domain has declarations or comments")
    try:
        domain = ET.fromstring(xml)
    except (ET.ParseError, ValueError) as error:
        raise ForeignDomain(f"its domain is not XML: {error}") from error
    if domain.tag != "domain":
        raise ForeignDomain(f"its domain is a {domain.tag!a}")
    return domain


def _refuse_unknown(element: ET.Element, shape: _Shape, path: str) -> None:
    """Raise ForeignDomain for whatever an element has that its shape does not allow."""
    for name, value in element.attrib.items():
        pattern = shape.attributes.get(name)
        if pattern is None or not re.fullmatch(pattern, value):
            raise ForeignDomain(f"its {path} has {name}={value!a}")
    text = (element.text or "").strip()
    if not re.fullmatch(shape.text, text):
        raise ForeignDomain(f"its {path} says {text[:80]!a}")
    for child in element:
        known = shape.children.get(child.tag)
        if known is None:
            raise ForeignDomain(f"its {path} has a {child.tag!a}, as no node of a lab has")
        if (child.tail or "").strip():
            raise ForeignDomain(f"its {path} has text between elements")
        _refuse_unknown(child, known, f"{path}/{child.tag}")


def _only(parent: ET.Element, path: str) -> ET.Element:
    found = parent.findall(path)
    if len(found) != 1:
        raise ForeignDomain(f"its {parent.tag} has {len(found)} of {path}, not one")
    return found[0]


def _set_identity(domain: ET.Element, wanted: NodeHere) -> None:
    domain.set("type", wanted.driver)
    for tag, text in (("name", wanted.name), ("uuid", wanted.uuid)):
        _only(domain, tag).text = text
    for tag, text in (("title", wanted.title), ("description", wanted.description)):
        for element in domain.findall(tag):
            element.text = text


def _refuse_other_machine(domain: ET.Element, wanted: NodeHere) -> None:
    """Raise ForeignDomain where the machine is not the one that the lab's spec describes."""
    for tag, number in (
        ("memory", wanted.memory_kib),
        ("currentMemory", wanted.memory_kib),
        ("vcpu", wanted.cpus),
    ):
        found = _only(domain, tag).text or ""
        if found.strip() != str(number):
            raise ForeignDomain(f"its {tag} is {found.strip()}, and the lab's is {number}")
    mode = _only(domain, "cpu").get("mode", "")
    if mode != wanted.cpu_mode:
        raise ForeignDomain(f"its processor is {mode!a}, and this host's are {wanted.cpu_mode}")
    models = [element.text for element in domain.iterfind("cpu/model")]
    wanted_models = [wanted.cpu_model] if wanted.cpu_model else []
    if models != wanted_models:
        raise ForeignDomain(f"its processor is {models}, and this host's are {wanted.cpu_model!a}")
    machine = _only(domain, "os/type").get("machine", "")
    if machine not in wanted.machines:
        raise ForeignDomain(f"its machine type {machine!a} is unknown to this host's QEMU")


def _set_disks(domain: ET.Element, wanted: NodeHere) -> None:
    ours = {"vda": ("qcow2", wanted.overlay), "vdb": ("raw", wanted.seed)}
    elements = domain.findall("devices/disk")
    disks = {_only(disk, "target").get("dev", ""): disk for disk in elements}
    # Counted, too: of two disks with one name the mapping has only the last.
    is_as_ours = len(elements) == len(ours) and disks.keys() == ours.keys()
    if not is_as_ours:
        names = ", ".join(sorted(disks)) or "none"
        raise ForeignDomain(f"its disks are {names}, not vda and vdb")
    for device, (kind, path) in ours.items():
        disk = disks[device]
        if _only(disk, "driver").get("type") != kind:
            raise ForeignDomain(f"its disk {device} is not {kind}")
        # Replaced, and not set: the other attributes could name a file of this host.
        _only(disk, "source").attrib = {"file": str(path)}


def _set_nics(domain: ET.Element, wanted: NodeHere) -> None:
    ours = {nic.mac.lower(): nic for nic in wanted.nics}
    interfaces = domain.findall("devices/interface")
    macs = [_only(one, "mac").get("address", "").lower() for one in interfaces]
    if sorted(macs) != sorted(ours):
        raise ForeignDomain(f"its NICs are {', '.join(macs) or 'none'}, not those of the lab")
    for mac, interface in zip(macs, interfaces, strict=True):
        nic = ours[mac]
        interface.set("type", nic.source.kind)
        _only(interface, "source").attrib = dict(nic.source.attributes)


def _set_consoles(domain: ET.Element, wanted: NodeHere) -> None:
    serials = [(_port(one), one.get("type")) for one in domain.iterfind("devices/serial")]
    if sorted(serials) != [("0", "file"), ("1", "pty")]:
        raise ForeignDomain("its serial ports are not the console's file and a terminal")
    for tag in ("serial", "console"):
        for element in domain.findall(f"devices/{tag}"):
            if element.get("type") == "file":
                _only(element, "source").attrib = {"path": str(wanted.console)}
                continue
            for source in element.findall("source"):  # the terminal that it had when it ran
                element.remove(source)
    for console in domain.iterfind("*/console"):
        if console.get("type") != "file" or _port(console) != "0":
            raise ForeignDomain("its console is not its first serial port")


def _port(element: ET.Element) -> str:
    return _only(element, "target").get("port", "")
