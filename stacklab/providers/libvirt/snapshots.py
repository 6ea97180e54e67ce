"""Snapshots of libvirt's nodes: memory by libvirt's save files, disks by overlays.

Neither libvirt's internal nor its external snapshots: several versions of it can't revert
them. A frozen disk is never written again, so a node's memory can't meet a disk that moved
on: each restore begins a new overlay above it.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from stacklab.errors import ProviderError
from stacklab.model.snapshot import Hardware, SnapshotKind
from stacklab.model.state import NodeState
from stacklab.paths import LabPaths, SnapshotPaths
from stacklab.process.command import Runner
from stacklab.providers.libvirt.benches.raw_memory import LibvirtRawMemory
from stacklab.providers.libvirt.handles import LibvirtNode, node_of
from stacklab.providers.libvirt.storage import disks as node_disks
from stacklab.providers.libvirt.storage import overlays
from stacklab.providers.snapshot_maker import NodeDisks
from stacklab.record import LabRecord
from stacklab.tools import bounded
from stacklab.tools.host.accelerator import Accelerator
from stacklab.tools.libvirt import xml as libvirt_xml
from stacklab.tools.libvirt.memory import LibvirtMemory

_POLL_S = 0.2
# libvirt goes on writing for a command that was killed.
_JOB_S = 600.0
_T = TypeVar("_T")


def hardware_of(libvirt: LibvirtMemory, accelerator: Accelerator) -> Hardware:
    """Return what memory that was saved on this host can be restored on."""
    # An emulated processor is the same on every host; with KVM guests see the host's own.
    host_cpu = libvirt_xml.host_cpu(libvirt.capabilities()) if accelerator.is_kvm else ()
    return Hardware(
        qemu=libvirt.qemu_version(),
        accelerator=accelerator.libvirt_driver,
        cpu=accelerator.cpu_model,
        host_cpu=host_cpu,
    )


class LibvirtSnapshots:
    """See stacklab.providers.snapshot_maker.SnapshotMaker."""

    kind = SnapshotKind.MEMORY
    disk_suffix = overlays.SUFFIX

    def __init__(
        self,
        runner: Runner,
        paths: LabPaths,
        record: LabRecord,
        *,
        accelerator: Accelerator,
        make_networks: Callable[[], None],
        connect: Callable[[], LibvirtMemory],
    ) -> None:
        self._connect = connect
        self._runner = runner
        self._paths = paths
        self._accelerator = accelerator
        self._make_networks = make_networks
        self._nodes = [node_of(self._paths, node) for node in record.nodes]

    def further_disks(self, node: str) -> Sequence[str]:
        """See SnapshotMaker.further_disks."""
        return [disk for one in self._nodes if one.name == node for disk in one.disks]

    def machine(self) -> Hardware:
        """See SnapshotMaker.machine."""
        return self._ask(lambda libvirt: hardware_of(libvirt, self._accelerator))

    def bytes_needed(self) -> int:
        """See SnapshotMaker.bytes_needed."""
        return self._ask(
            lambda libvirt: sum(libvirt.used_memory(node.uuid) for node in self._nodes)
        )

    def freeze(self) -> float:
        """See SnapshotMaker.freeze."""
        moments: list[float] = []

        def pause(node: LibvirtNode, libvirt: LibvirtMemory) -> None:
            libvirt.pause(node.uuid)
            moments.append(time.monotonic())

        self._on_all(pause)
        return max(moments) - min(moments)

    def store(self, place: SnapshotPaths, disks: Mapping[str, NodeDisks]) -> None:
        """See SnapshotMaker.store."""

        def save(node: LibvirtNode, libvirt: LibvirtMemory) -> None:
            place.domain(node.name).write_text(libvirt.definition(node.uuid))
            libvirt.save_memory(node.uuid, place.memory(node.name))
            # While a node runs, its seed is for QEMU's user and root alone.
            node_disks.put_seed(place.seed(node.name), node.seed.read_bytes())
            node_disks.keep_console(self._paths.console(node.name), place.console(node.name))
            node_disks.freeze(self._runner, node, disks[node.name])

        self._on_all(save)

    def resume(self, place: SnapshotPaths, disks: Mapping[str, NodeDisks]) -> None:
        """See SnapshotMaker.resume."""

        def thaw(node: LibvirtNode, libvirt: LibvirtMemory) -> None:
            self._wait_for_job(libvirt, node)
            node_disks.take_back(node, disks[node.name])
            state = libvirt.state(node.uuid)
            memory = place.memory(node.name)
            if state is NodeState.OFF and memory.exists():
                xml = place.domain(node.name).read_text()
                libvirt.restore_memory(node.domain, memory, xml)
                self._bring_console_back(node, place)

        self._on_all(thaw)
        self._resume_all()

    def restore(self, place: SnapshotPaths, disks: Mapping[str, NodeDisks]) -> None:
        """See SnapshotMaker.restore."""
        self._power_off_all()
        self._make_networks()

        def start(node: LibvirtNode, libvirt: LibvirtMemory) -> None:
            node_disks.renew_overlays(self._runner, node, disks[node.name])
            node_disks.put_seed(node.seed, place.seed(node.name).read_bytes())
            node_disks.empty_console(self._paths.console(node.name))
            xml = place.domain(node.name).read_text()
            libvirt.restore_memory(node.domain, place.memory(node.name), xml)
            self._bring_console_back(node, place)

        self._on_all(start)
        # Before they go on: from then on their clocks are late by what is known.
        consoles = [self._paths.console(node.name) for node in self._nodes]
        node_disks.open_consoles(self._runner, consoles)
        self._resume_all()

    def raw_memory(self) -> LibvirtRawMemory:
        """See HasRawMemory.raw_memory."""
        return LibvirtRawMemory(self._runner, self._nodes, power_off_all=self._power_off_all)

    def _bring_console_back(self, node: LibvirtNode, place: SnapshotPaths) -> None:
        kept, console = place.console(node.name), self._paths.console(node.name)
        node_disks.bring_console_back(self._runner, kept, console)

    def _power_off_all(self) -> None:
        self._on_all(lambda node, libvirt: libvirt.power_off(node.uuid))

    def _resume_all(self) -> None:
        def resume(node: LibvirtNode, libvirt: LibvirtMemory) -> None:
            if libvirt.state(node.uuid) is NodeState.PAUSED:
                libvirt.resume(node.uuid)

        self._on_all(resume)

    def _wait_for_job(self, libvirt: LibvirtMemory, node: LibvirtNode) -> None:
        deadline = time.monotonic() + _JOB_S
        while libvirt.is_at_work(node.uuid):
            if time.monotonic() > deadline:
                raise ProviderError(
                    f"libvirt has been writing the memory of {node.domain} for {_JOB_S:.0f} s",
                    hint=f"virsh domjobinfo {node.domain}",
                )
            time.sleep(_POLL_S)

    def _ask(self, question: Callable[[LibvirtMemory], _T]) -> _T:
        with contextlib.closing(self._connect()) as libvirt:
            return question(libvirt)

    def _on_all(self, work: Callable[[LibvirtNode, LibvirtMemory], None]) -> None:
        """Do this for all nodes at once, each by a connection of its own.

        Five long calls would fill one connection.
        """
        calls: Sequence[Callable[[], object]] = [
            functools.partial(self._ask, functools.partial(work, node)) for node in self._nodes
        ]
        bounded.together(calls, name="snapshot")
