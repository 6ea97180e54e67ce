"""Guests whose files look as libvirt and QEMU write them, and bundles that can be forged."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import struct
import tarfile
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stacklab.errors import CommandFailed
from stacklab.model.lab import Lab
from stacklab.model.state import NodeState
from stacklab.process.command import Command, Result
from stacklab.tools import qcow2
from stacklab.tools.libvirt import save_file as libvirt_save
from stacklab.workflow.bundles import bundle_stream
from stacklab.workflow.snapshots import store
from tests.unit.checks.fake_lab import make_lab
from tests.unit.workflow.fake_host import FakeHost
from tests.unit.workflow.snapshots import fake_guests
from tests.unit.workflow.snapshots.fake_guests import Guests, counted

LAB = make_lab(nodes=("controller", "compute1"))
MACHINE = "pc-i440fx-7.2"
CAPABILITIES = f"""<capabilities><host><cpu><model>Vector</model><feature name='b'/>\
<feature name='a'/></cpu></host><guest><arch name='x86_64'>\
<machine>{MACHINE}</machine></arch></guest></capabilities>"""
_HEADER_BYTES = 1024
_MAGIC = b"FAKE ZSTD\n"
_SAVE_HEAD = struct.Struct("<16sIIIII56x")


# --- disks


def disk(backing: str, size: int, *, kind: str = "qcow2", incompatible: int = 0) -> bytes:
    """The header of a qcow2, as qemu-img writes it; guests write behind it."""
    extension = struct.pack(">II", 0xE2792ACA, len(kind)) + kind.encode().ljust(8, b"\0")
    extensions = (extension if backing else b"") + struct.pack(">II", 0, 0)
    backing_at = 104 + len(extensions) if backing else 0
    head = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        *(b"QFI\xfb", 3, backing_at, len(backing), 16, size, 0, 1),
        *(0x30000, 0x10000, 1, 0, 0, incompatible, 0, 0, 4, 104),
    )
    return (head + extensions + backing.encode()).ljust(_HEADER_BYTES, b"\0")


def _create(command: Command) -> Result:
    base = command.argv[command.argv.index("-b") + 1]
    target = Path(command.argv[command.argv.index("-b") + 2])
    size = command.argv[-1]
    mib = int(size[:-1]) if size.endswith("M") else qcow2.read(Path(base)).virtual_bytes >> 20
    target.write_bytes(disk(base, mib << 20))
    return Result(exit_code=0)


def _info(command: Command) -> Result:
    header = qcow2.read(Path(command.argv[-1]))
    data = {"format": "qcow2", "virtual-size": header.virtual_bytes}
    if header.backing:
        data["full-backing-filename"] = header.backing
    return Result(exit_code=0, stdout=json.dumps(data))


def _rebase(command: Command) -> Result:
    path, base = Path(command.argv[-1]), command.argv[-2]
    content = path.read_bytes()[_HEADER_BYTES:]
    path.write_bytes(disk(base, qcow2.read(path).virtual_bytes) + content)
    return Result(exit_code=0)


# --- domains and memory


def domain_xml(name: str, uuid: str, home: Path, lab: Lab) -> str:
    """What libvirt 9.0 says of a domain that vagrant-libvirt has made."""
    node = lab.node(name.partition("_")[2])
    console = home / "labs" / lab.name / "logs" / f"{node.name}.console.log"
    volume = home / "volumes" / name
    nics = "".join(
        f"<interface type='network'><mac address='{nic.mac}'/>"
        f"<source network='{lab.name}_{nic.network}'/><model type='virtio'/>"
        f"<driver iommu='off'/><alias name='ua-net-{number}'/>"
        f"<address type='pci' domain='0x0000' bus='0x00' slot='0x0{5 + number}' function='0x0'/>"
        "</interface>"
        for number, nic in enumerate(node.nics)
    )
    return f"""<domain type='qemu'>
  <name>{name}</name><uuid>{uuid}</uuid><title>stacklab {lab.name} {node.name}</title>
  <description>made by stacklab from {lab.source}</description>
  <memory unit='KiB'>{node.memory.mib * 1024}</memory>
  <currentMemory unit='KiB'>{node.memory.mib * 1024}</currentMemory>
  <vcpu placement='static'>{node.cpus}</vcpu>
  <os><type arch='x86_64' machine='{MACHINE}'>hvm</type><boot dev='hd'/>\
<bootmenu enable='no'/></os>
  <features><acpi/><apic/><pae/></features>
  <cpu mode='custom' match='exact' check='none'><model fallback='allow'>qemu64</model>
    <feature policy='require' name='svm'/><feature policy='require' name='npt'/></cpu>
  <clock offset='utc'/><on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='unsafe' discard='unmap'/>
      <source file='{volume}.qcow2'/><target dev='vda' bus='virtio'/>
      <alias name='ua-disk-volume-0'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x0'/></disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' cache='unsafe'/>
      <source file='{volume}.seed.img'/><target dev='vdb' bus='virtio'/>
      <alias name='ua-disk-volume-1'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x03' function='0x0'/></disk>
    <controller type='usb' index='0' model='piix3-uhci'>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x01' function='0x2'/></controller>
    <controller type='pci' index='0' model='pci-root'/>{nics}
    <serial type='file'><source path='{console}'/>
      <target type='isa-serial' port='0'><model name='isa-serial'/></target></serial>
    <serial type='pty'><target type='isa-serial' port='1'>\
<model name='isa-serial'/></target></serial>
    <console type='file'><source path='{console}'/><target type='serial' port='0'/></console>
    <input type='mouse' bus='ps2'/><input type='keyboard' bus='ps2'/>
    <audio id='1' type='none'/><memballoon model='none'/>
    <rng model='virtio'><backend model='random'>/dev/random</backend>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x04' function='0x0'/></rng>
  </devices>
</domain>
"""


def running_xml(xml: str) -> str:
    """The same as libvirt writes it into a save file, of a domain that ran."""
    return xml.replace("<os>", "<resource><partition>/machine</partition></resource><os>").replace(
        "check='none'><model fallback='allow'>", "check='full'><model fallback='forbid'>"
    )


def save_file(xml: str, memory: str, *, cookie: str = "<cookie/>", memory_format: int = 0) -> bytes:
    """What libvirt's save writes: a head with XML, cookie and room to spare, then the memory."""
    data = xml.encode() + b"\0" + cookie.encode() + b"\0"
    room = len(data) + 65536
    cookie_at = len(xml.encode()) + 1
    head = _SAVE_HEAD.pack(b"LibvirtQemudSave", 2, room, 0, memory_format, cookie_at)
    return head + data.ljust(room, b"\0") + memory.encode()


def memory_in(path: Path) -> str:
    """The memory in a save file."""
    return path.read_bytes()[_SAVE_HEAD.size + libvirt_save.read(path).room_bytes :].decode()


class RealGuests(Guests):
    """Guests on disks with real headers, by real XML; see Guests."""

    def _chain_of(self, disk: Path) -> str:
        text, path = "", disk
        while path.exists() and path.parent != self.host.paths.images:
            counters = path.read_bytes()[_HEADER_BYTES:].decode()
            text = counters + text
            path = Path(qcow2.read(path).backing)
        return text

    def definition(self, uuid: str) -> str:
        self.killer.step()
        return domain_xml(self.names[uuid], uuid, self.host.root, LAB)

    def save_memory(self, uuid: str, path: Path) -> None:
        self.killer.step()
        assert self.states[uuid] is NodeState.PAUSED
        xml = domain_xml(self.names[uuid], uuid, self.host.root, LAB)
        path.write_bytes(save_file(running_xml(xml), self.memory.pop(uuid, "")))
        self.states[uuid] = NodeState.OFF
        self.killer.step()

    def restore_memory(self, name: str, path: Path, xml: str) -> None:
        self.killer.step()
        # libvirt starts what the save file says; the domain is defined by the other XML.
        for text in (xml, libvirt_save.read(path).xml):
            domain = ET.fromstring(text)
            uuid = domain.findtext("uuid", "")
            assert domain.findtext("name") == name
            sources = [one.get("file", "") for one in domain.iterfind("devices/disk/source")]
            volume = self.host.paths.volumes / name
            assert sources == [f"{volume}.qcow2", f"{volume}.seed.img"]
            assert all(Path(source).exists() for source in sources)
            console = domain.find("devices/serial/source")
            assert console is not None
            assert console.get("path", "").startswith(f"{self.host.root}/labs/")
        assert self.states.get(uuid, NodeState.OFF) is NodeState.OFF
        self.add(uuid, name, NodeState.PAUSED)
        self.memory[uuid] = memory_in(path)
        assert self._chain(uuid) == self.memory[uuid], "memory met another disk"
        self.killer.step()

    def capabilities(self) -> str:
        return CAPABILITIES


# --- zstd, and hosts


def zstd(command: Command) -> Result:
    """It packs nothing, but says if it was given what it has packed."""
    data = command.stdin or b""
    if "-d" not in command.argv:
        return Result(exit_code=0, stdout=(_MAGIC + data).decode("latin-1"))
    if not data.startswith(_MAGIC):
        raise CommandFailed("zstd: unsupported format")
    return Result(exit_code=0, stdout=data.removeprefix(_MAGIC).decode("latin-1"))


def install(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> RealGuests:
    """Give the host such guests, a base image that is a qcow2, and zstd."""
    with monkeypatch.context() as patched:
        patched.setattr(fake_guests, "Guests", RealGuests)
        guests = fake_guests.install(host, monkeypatch)
    assert isinstance(guests, RealGuests)
    host.runner.on("qemu-img", "create", answer=_create)
    host.runner.on("qemu-img", "info", answer=_info)
    host.runner.on("qemu-img", "rebase", answer=_rebase)
    host.runner.on("zstd", answer=zstd)
    # Steps of an import, besides those of a snapshot. What sweeps does not work after a kill.
    for owner, name in (
        (bundle_stream.Sink, "end"),
        (libvirt_save, "rewrite"),
        (store, "make_directory"),
        (store, "sweep"),
    ):
        monkeypatch.setattr(owner, name, counted(guests.killer, getattr(owner, name)))
    return guests


def copy_images(source: FakeHost, target: FakeHost) -> None:
    """Have the same builds of all images on another host."""
    target.paths.images.mkdir(parents=True, exist_ok=True)
    for path in source.paths.images.iterdir():
        shutil.copy2(path, target.paths.images)


# --- bundles


@dataclass
class Forged:
    """A bundle that was taken apart; `write` puts it together again."""

    index: dict[str, Any]
    members: dict[str, bytes]

    @classmethod
    def of(cls, file: Path) -> Forged:
        data = file.read_bytes().removeprefix(_MAGIC)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            contents = {
                member.name: stream.read()
                for member in archive
                if (stream := archive.extractfile(member)) is not None
            }
        index = json.loads(contents.pop("index.json"))
        return cls(index, contents)

    def agree(self) -> None:
        """Have the index say of all members what is true."""
        self.index["members"] = [
            {"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in self.members.items()
        ]

    def write(self, file: Path, *, agree: bool = True) -> None:
        """Write it, by default with an index that fits."""
        if agree:
            self.agree()
        buffer = io.BytesIO()
        index = json.dumps(self.index).encode()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for name, data in {"index.json": index, **self.members}.items():
                archive.addfile(entry(name, len(data)), io.BytesIO(data))
        # Without the blocks that Python's tarfile fills its last record with.
        end = 512 * (2 + sum(1 + -(-len(data) // 512) for data in (index, *self.members.values())))
        file.write_bytes(_MAGIC + buffer.getvalue()[:end])

    def change_text(self, name: str, old: str, new: str) -> None:
        """Replace text of a member, which must have it."""
        text = self.members[name].decode("latin-1")
        assert old in text, f"{name} lacks {old}"
        self.members[name] = text.replace(old, new).encode("latin-1")

    def change_files(self, change: dict[str, bytes | None]) -> None:
        """Replace files of the lab's directory; None removes one."""
        buffer = io.BytesIO()
        with (
            tarfile.open(fileobj=io.BytesIO(self.members["files.tar"])) as old,
            tarfile.open(fileobj=buffer, mode="w") as new,
        ):
            contents: dict[str, bytes | None] = {
                member.name: stream.read()
                for member in old
                if (stream := old.extractfile(member)) is not None
            }
            for name, data in {**contents, **change}.items():
                if data is not None:
                    new.addfile(entry(name, len(data)), io.BytesIO(data))
        self.members["files.tar"] = buffer.getvalue()

    def file_of_lab(self, name: str) -> bytes:
        with tarfile.open(fileobj=io.BytesIO(self.members["files.tar"])) as archive:
            stream = archive.extractfile(name)
            assert stream is not None
            return stream.read()


def entry(name: str, size: int = 0) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.size = size
    made.mode = 0o600
    return made
