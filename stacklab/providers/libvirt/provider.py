"""Nodes as libvirt domains that Vagrant makes; networks, disks and the rest by libvirt itself."""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from stacklab import locks
from stacklab.errors import AlreadyRunning, ProviderError
from stacklab.model.lab import Lab, Node
from stacklab.model.state import NodeState
from stacklab.nodes.archive import Entry
from stacklab.paths import LabPaths
from stacklab.providers.contract import HostServices, LogReader, LogSource, Unreachable
from stacklab.providers.libvirt import console, machines, starting
from stacklab.providers.libvirt.benches.foreign_things import LibvirtForeignThings
from stacklab.providers.libvirt.bundles import LibvirtBundles
from stacklab.providers.libvirt.evidence import LibvirtLooker
from stacklab.providers.libvirt.faults import LibvirtFaults
from stacklab.providers.libvirt.handles import LibvirtNode, domain_name, network_of, node_of
from stacklab.providers.libvirt.link import LibvirtLink
from stacklab.providers.libvirt.logs import VERSIONS, LibvirtLogs
from stacklab.providers.libvirt.nic_plug import LibvirtNicPlug
from stacklab.providers.libvirt.snapshots import LibvirtSnapshots
from stacklab.providers.libvirt.storage import access, disks, further_disks
from stacklab.record import LabRecord
from stacklab.tools import bounded, vagrant
from stacklab.tools.console import tail
from stacklab.tools.libvirt import connection as libvirt_connection
from stacklab.tools.libvirt import xml as libvirt_xml
from stacklab.tools.libvirt.domains import Libvirt
from stacklab.tools.libvirt.memory import LibvirtMemory

_POLL_S = 0.1
_IS_OFF = (NodeState.OFF, NodeState.ABSENT, NodeState.CRASHED)


class LibvirtProvider:
    """See stacklab.providers.contract: Provider, and all capabilities."""

    name = "libvirt"

    def __init__(
        self,
        site: HostServices,
        *,
        connect: Callable[[], Libvirt] = Libvirt,
        connect_memory: Callable[[], LibvirtMemory] = LibvirtMemory,
        ask: Callable[[], str | None] = libvirt_connection.why_unreachable,
    ) -> None:
        self._site = site
        self._connect_memory = connect_memory
        self._link = LibvirtLink(site, connect=connect, ask=ask)
        self._are_disks_closed = False

    # --- the connection

    @property
    def libvirt(self) -> Libvirt:
        """The connection to libvirtd, which is started if it is not running."""
        return self._link.libvirt

    def why_unreachable(self, *, start: bool = False) -> Unreachable | None:
        """See Provider.why_unreachable."""
        return self._link.why_unreachable(start=start)

    def close(self) -> None:
        """See Provider.close."""
        self._link.close()

    def libvirt_if_up(self) -> tuple[Libvirt | None, str]:
        """Return the connection, or None and the reason; starts nothing."""
        return self._link.libvirt_if_up()

    def _show_progress(self, text: str) -> None:
        self._site.progress.say("host", text)

    # --- making and starting

    @property
    def pool(self) -> str:
        """Our pool: one per STACKLAB_HOME, so that tests and people don't share one."""
        return machines.pool_name(self._site.host)

    def files(self, lab: Lab, paths: LabPaths, record: LabRecord) -> Mapping[Path, str]:
        """See Provider.files."""
        accelerator = self._site.accelerator()
        return machines.render_files(lab, paths, record, accelerator, self.pool)

    def prepare(
        self,
        lab: Lab,
        record: LabRecord,
        nodes: Sequence[str],
        *,
        base: Path,
        identity: Callable[[Node], Mapping[str, Entry]],
    ) -> None:
        """See Provider.prepare."""
        # First: who has opened a disk keeps it, whatever is closed later.
        self._close_disks()
        paths = self._lab_paths(record)
        settings = machines.kernel_settings(self._site.accelerator())
        for name in nodes:
            node = lab.node(name)
            recorded = self._recorded_node(record, name)
            if record.is_outdated(name):
                disks.grow(self._site.runner, recorded, node)
            disks.make_disks(
                self._site.runner,
                recorded,
                node,
                base=base,
                identity={**identity(node), **settings},
            )
            disks.empty_console(paths.console(name))

    def up(self, lab: Lab, paths: LabPaths, record: LabRecord, nodes: Sequence[str]) -> None:
        """See Provider.up."""
        # Also for nodes that run: an earlier version has left it open.
        self._close_disks()
        booting = self._resume_paused(record, nodes)
        if not booting:
            return
        with self._site.progress.stage("host", "networks"):
            self.make_networks(lab, record)
        # Vagrant looks domains up by name: it would take somebody else's for the lab's.
        for node in record.nodes:
            recorded = node_of(paths, node)
            self.libvirt.refuse_foreign_domain(recorded.domain, recorded.uuid)
        with self._site.progress.stage("host", "vagrant"):
            starting.vagrant_up(self._site, paths, booting)
        consoles = [paths.console(name) for name in booting]
        disks.open_consoles(self._site.runner, consoles)

    def _resume_paused(self, record: LabRecord, nodes: Sequence[str]) -> list[str]:
        """Resume those nodes that are paused, and return the others."""
        states = self.status(record)
        others = []
        for name in nodes:
            if states[name] is NodeState.PAUSED:
                self.libvirt.resume(self._recorded_node(record, name).uuid)
            else:
                others.append(name)
        return others

    def make_networks(self, lab: Lab, record: LabRecord) -> None:
        """See Provider.make_networks; the pool of disks is made, too."""
        for recorded in record.networks:
            network = network_of(record.name, recorded)
            declared = lab.network(network.name)
            xml = libvirt_xml.network(lab, declared, network.uuid, name=network.libvirt_name)
            self.libvirt.ensure_network(network.libvirt_name, network.uuid, xml)
        self._close_disks()
        self.libvirt.ensure_pool(self.pool, self._site.host.volumes)

    def _close_disks(self) -> None:
        """Close them once for a command, whichever of its steps comes first."""
        if self._are_disks_closed:
            return
        self._are_disks_closed = True
        host = self._site.host
        qemu_uid = libvirt_xml.qemu_uid(self.libvirt.capabilities())
        for why in access.close(self._site.runner, (host.volumes, host.snapshots), qemu_uid):
            self._site.progress.note("host", why)

    def nic_plug(self, lab: Lab, record: LabRecord) -> LibvirtNicPlug:
        """See PlugsNics.nic_plug."""
        return LibvirtNicPlug(self.libvirt, self._lab_paths(record), lab, record)

    # --- stopping and removing

    def down(self, record: LabRecord, nodes: Sequence[str], *, patience_s: float) -> None:
        """See Provider.down."""
        # In the record's order, whatever the order of `nodes`.
        names = [node.name for node in record.nodes if node.name in nodes]
        stopping = [self._recorded_node(record, name) for name in names]
        for node in stopping:
            if self.libvirt.state(node.uuid) is NodeState.PAUSED:
                self.libvirt.resume(node.uuid)  # a paused node ignores the power button
            self.libvirt.shut_down(node.uuid)
        paths = self._lab_paths(record)
        for node in self._wait_until_off(stopping, patience_s):
            self._cut_power(paths, node, patience_s)

    def _wait_until_off(self, stopping: list[LibvirtNode], patience_s: float) -> list[LibvirtNode]:
        """Wait for these nodes to shut down, and return those that still run at the end."""
        started = time.monotonic()
        elapsed_s = 0.0
        # Polled: a call that waits for a shutdown would block the shared connection.
        while stopping and elapsed_s < patience_s:
            stopping = [node for node in stopping if self.libvirt.state(node.uuid) not in _IS_OFF]
            if stopping:
                names = ", ".join(node.name for node in stopping)
                times = f"{elapsed_s:.0f} of {patience_s:.0f} s"
                self._show_progress(f"waiting for {names} to shut down, {times}")
                time.sleep(_POLL_S)
            elapsed_s = time.monotonic() - started
        return stopping

    def _cut_power(self, paths: LabPaths, node: LibvirtNode, patience_s: float) -> None:
        message = f"did not shut down within {patience_s:.0f} s: its power is cut"
        last_lines = tail(paths.console(node.name), 1)
        if last_lines:
            # Cut, for one line of a terminal: a kernel's last words may be long.
            message += f"; its console ends with: {last_lines[0][:100]}"
        self._site.progress.note(node.name, message)
        self.libvirt.power_off(node.uuid)

    def remove_node(self, paths: LabPaths, record: LabRecord, node: str) -> None:
        """See Provider.remove_node."""
        self._remove_node(paths, record, node)
        further_disks.remove_unshared(paths, record, node, self._site.progress)

    def _remove_node(self, paths: LabPaths, record: LabRecord, node: str) -> None:
        """Remove a node with the disks that it has for itself."""
        if record.node(node) is not None:
            recorded = self._recorded_node(record, node)
            self.libvirt.remove_domain(recorded.uuid, recorded.domain)
            disks.remove_disks(recorded)
        vagrant.forget_machine(paths.root, node)
        paths.console(node).unlink(missing_ok=True)

    def undefine_node(self, paths: LabPaths, record: LabRecord, node: str) -> None:
        """See Provider.undefine_node."""
        recorded = self._recorded_node(record, node)
        self.libvirt.remove_domain(recorded.uuid, recorded.domain)
        vagrant.forget_machine(paths.root, node)

    def remove_network(self, record: LabRecord, network: str) -> None:
        """See Provider.remove_network."""
        recorded = record.network(network)
        if recorded is not None:
            known = network_of(record.name, recorded)
            self.libvirt.remove_network(known.libvirt_name, known.uuid)

    def destroy(self, paths: LabPaths, record: LabRecord) -> None:
        """See Provider.destroy."""
        # All at the same time: QEMU under load takes seconds to end.
        removals = [
            functools.partial(self._remove_node, paths, record, node.name) for node in record.nodes
        ]
        bounded.together(removals, name="destroy")
        further_disks.remove_shared(paths, record)
        # Networks last: libvirt would take away the bridge under a node that still runs.
        for recorded in record.networks:
            self.remove_network(record, recorded.name)
        vagrant.forget(paths.root)
        shutil.rmtree(vagrant.dotfile(paths.root), ignore_errors=True)

    def close_down(self) -> None:
        """See Provider.close_down: forget the pool."""
        self.libvirt.remove_pool(self.pool, self._site.host.volumes)

    def wait_for_orphan(self, paths: LabPaths, *, wait_s: float) -> None:
        """See Orphans: the vagrant of a killed command goes on making domains or deleting disks."""
        lock = vagrant.lock(paths.root)
        if not lock.exists():
            return

        def say_waiting(_text: str) -> None:
            self._show_progress(
                f"waiting for the vagrant of a command that was killed, {wait_s:.0f} s at most"
            )

        try:
            # Held for a moment only: whoever gets it knows that no vagrant is at work.
            with locks.held(lock, "vagrant", wait_s=wait_s, waiting=say_waiting):
                return
        except AlreadyRunning as error:
            log = paths.logs / "vagrant.log"
            last_lines = tail(log, 3) if log.exists() else ()
            last_words = "".join(f"\n  | {line}" for line in last_lines)
            raise AlreadyRunning(
                f"lab {paths.name}: the vagrant of a command that was killed is still at work "
                f"after {wait_s:.0f} s{last_words}",
                hint=f"wait for it: tail -f {log}",
            ) from error

    def foreign_things(self) -> LibvirtForeignThings:
        """See HasForeignThings.foreign_things."""
        return LibvirtForeignThings(self._site.runner, lambda: self.libvirt)

    # --- looking

    def status(self, record: LabRecord) -> Mapping[str, NodeState]:
        """See Provider.status."""
        libvirt = self._link.libvirt_that_runs()
        states = {}
        for node in record.nodes:
            states[node.name] = libvirt.state(self._recorded_node(record, node.name).uuid)
        return states

    def reset(self, record: LabRecord, node: str) -> None:
        """See Resets.reset."""
        if record.node(node) is not None:
            self.libvirt.reset(self._recorded_node(record, node).uuid)

    def looker(self, paths: LabPaths, record: LabRecord) -> LibvirtLooker:
        """See Evidence.looker."""
        libvirt, why_not = self.libvirt_if_up()
        return LibvirtLooker(libvirt, self._site.runner, paths, record, why_no_libvirt=why_not)

    def state_command(self, record: LabRecord, node: str) -> str:
        """See Evidence.state_command."""
        return console.state_command(domain_name(record.name, node))

    def console_argv(self, record: LabRecord, node: str) -> tuple[str, ...]:
        """See Console.console_argv."""
        return console.console_argv(domain_name(record.name, node))

    def console_log(self, paths: LabPaths, node: str) -> Path:
        """See Console.console_log."""
        return paths.console(node)

    def faults(self, lab: str, record: LabRecord) -> LibvirtFaults:
        """See MakesFaults.faults."""
        return LibvirtFaults(self.libvirt, self._site.runner, self._site.host.lab(lab), record)

    def snapshots(self, lab: Lab, record: LabRecord) -> LibvirtSnapshots:
        """See Snapshots.snapshots; raises ProviderError for a lab with shared disks."""
        further_disks.refuse_snapshots(self._lab_paths(record), record)
        return LibvirtSnapshots(
            self._site.runner,
            self._lab_paths(record),
            record,
            accelerator=self._site.accelerator(),
            make_networks=lambda: self.make_networks(lab, record),
            connect=self._connect_memory,
        )

    def bundles(self) -> LibvirtBundles:
        """See Bundles.bundles."""
        return LibvirtBundles(self._site, self, connect=self._connect_memory)

    def version_commands(self) -> Sequence[tuple[str, ...]]:
        """See HostLogs.version_commands."""
        return VERSIONS

    def log_sources(
        self, paths: LabPaths, record: LabRecord, reader: LogReader, why_not: str
    ) -> Iterator[LogSource]:
        """See HostLogs.log_sources."""
        return LibvirtLogs(paths, record, reader, why_not).sources()

    # --- the record

    def _lab_paths(self, record: LabRecord) -> LabPaths:
        return self._site.host.lab(record.name)

    def _recorded_node(self, record: LabRecord, name: str) -> LibvirtNode:
        node = record.node(name)
        if node is None:
            raise ProviderError(f"{name} is not on record")
        return node_of(self._lab_paths(record), node)
