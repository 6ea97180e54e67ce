"""Bundles of libvirt's labs: what of a node's domain, memory and disks another host may take."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from stacklab.model.lab import Lab
from stacklab.model.snapshot import Hardware
from stacklab.paths import LabPaths, SnapshotPaths
from stacklab.process.command import Command, as_root
from stacklab.providers.bundling import ForeignNode
from stacklab.providers.contract import HostServices, Provider
from stacklab.providers.libvirt import foreign_domain
from stacklab.providers.libvirt.foreign_domain import Nic, NodeHere
from stacklab.providers.libvirt.handles import node_of
from stacklab.providers.libvirt.nic_plug import source_of
from stacklab.providers.libvirt.snapshots import hardware_of
from stacklab.record import LabRecord
from stacklab.tools import qcow2, qemu_img, vagrant
from stacklab.tools.libvirt import save_file as libvirt_save
from stacklab.tools.libvirt import xml as libvirt_xml
from stacklab.tools.libvirt.memory import LibvirtMemory

_KIB_PER_MIB = 1024
_READABLE = 0o600
_FROZEN_MODE = 0o444
_T = TypeVar("_T")


class LibvirtBundles:
    """See stacklab.providers.bundling.BundleMaker."""

    def __init__(
        self,
        site: HostServices,
        provider: Provider,
        *,
        connect: Callable[[], LibvirtMemory],
    ) -> None:
        self._site = site
        self._provider = provider
        self._connect = connect

    def hardware(self) -> Hardware:
        """See BundleMaker.hardware."""
        accelerator = self._site.accelerator()
        return self._ask(lambda libvirt: hardware_of(libvirt, accelerator))

    def lend(self, place: SnapshotPaths) -> None:
        """See BundleMaker.lend: libvirtd has written the memory as root, for root alone."""
        closed = [str(path) for path in place.root.glob("*.memory") if not os.access(path, os.R_OK)]
        if closed:
            argv = as_root(("chown", str(os.getuid()), *sorted(closed)))
            self._site.runner.run(Command(argv=argv, what="opening the nodes' memory"))

    def refuse_taken(self, record: LabRecord) -> None:
        """See BundleMaker.refuse_taken."""
        paths = self._site.host.lab(record.name)

        def look(libvirt: LibvirtMemory) -> None:
            for recorded in record.nodes:
                node = node_of(paths, recorded)
                libvirt.refuse_foreign_domain(node.domain, node.uuid)

        self._ask(look)

    def refuse_odd(self, lab: Lab, record: LabRecord, nodes: Sequence[ForeignNode]) -> None:
        """See BundleMaker.refuse_odd."""
        self._relocated(lab, record, nodes)

    def adopt(self, lab: Lab, record: LabRecord, nodes: Sequence[ForeignNode]) -> None:
        """See BundleMaker.adopt."""
        relocated = self._relocated(lab, record, nodes)
        for node in nodes:
            domain, saved_domain = relocated[node.name]
            node.domain.write_text(domain)
            libvirt_save.rewrite(node.memory, saved_domain)
            for disk, base in zip(node.disks, node.bases_here, strict=True):
                disk.chmod(_READABLE)
                self._site.runner.run(qemu_img.rebase(disk, base))
                disk.chmod(_FROZEN_MODE)

    def state_files(self, lab: Lab, paths: LabPaths, record: LabRecord) -> Mapping[Path, str]:
        """See BundleMaker.state_files: with those by which Vagrant knows the domains."""
        files = dict(self._provider.files(lab, paths, record))
        for recorded in record.nodes:
            node = node_of(paths, recorded)
            files[vagrant.machine_id(paths.root, node.name)] = node.uuid
        return files

    def _relocated(
        self, lab: Lab, record: LabRecord, nodes: Sequence[ForeignNode]
    ) -> Mapping[str, tuple[str, str]]:
        """Return each node's domain and the one in its save file as they have to be here."""
        machines = self._ask(lambda libvirt: libvirt_xml.machine_types(libvirt.capabilities()))
        relocated = {}
        for node in nodes:
            try:
                wanted = self._wanted(lab, record, node.name, machines)
                saved = libvirt_save.read(node.memory)
                relocated[node.name] = (
                    foreign_domain.relocated(node.domain.read_text(), wanted),
                    foreign_domain.relocated(saved.xml, wanted),
                )
                _refuse_odd_disks(node, most_bytes=lab.node(node.name).disk.bytes)
            except ValueError as error:
                raise ValueError(f"{node.name}: {error}") from error
        return relocated

    def _wanted(self, lab: Lab, record: LabRecord, name: str, machines: frozenset[str]) -> NodeHere:
        paths = self._site.host.lab(lab.name)
        recorded = record.node(name)
        if recorded is None:
            raise ValueError("it is not on record")
        node, ours = lab.node(name), node_of(paths, recorded)
        if node.disks or ours.disks or ours.shared_disks:
            raise ValueError("it has further disks, which no bundle carries")
        accelerator = self._site.accelerator()
        return NodeHere(
            name=ours.domain,
            uuid=ours.uuid,
            title=f"stacklab {lab.name} {name}",
            description=f"made by stacklab from {lab.source}",
            driver=accelerator.libvirt_driver,
            cpu_mode="host-passthrough" if accelerator.is_kvm else "custom",
            cpu_model="" if accelerator.is_kvm else accelerator.cpu_model,
            machines=machines,
            cpus=node.cpus,
            memory_kib=node.memory.mib * _KIB_PER_MIB,
            overlay=ours.overlay,
            seed=ours.seed,
            console=paths.console(name),
            nics=tuple(_nic(lab, nic.network, nic.mac) for nic in node.nics),
        )

    def _ask(self, question: Callable[[LibvirtMemory], _T]) -> _T:
        with contextlib.closing(self._connect()) as libvirt:
            return question(libvirt)


def _nic(lab: Lab, name: str, mac: str) -> Nic:
    return Nic(mac=mac, source=source_of(lab, lab.network(name)))


def _refuse_odd_disks(node: ForeignNode, *, most_bytes: int) -> None:
    """Raise ValueError for a disk whose content is not in itself and in the one below it."""
    for disk, base in zip(node.disks, node.bases_there, strict=True):
        header = qcow2.read(disk)
        if header.backing != base or header.backing_format != "qcow2":
            raise ValueError(
                f"its disk lies on {header.backing!a} ({header.backing_format!a}), not on {base!a}"
            )
        if header.virtual_bytes > most_bytes:
            raise ValueError(
                f"its disk has {header.virtual_bytes} bytes, and the lab's has {most_bytes}"
            )
