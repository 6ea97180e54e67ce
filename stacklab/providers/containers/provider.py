"""Nodes as containers, and as VMs beside them; networks are libvirt's, with its DNS and NAT."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from stacklab.errors import ProviderError
from stacklab.images import root
from stacklab.model.lab import Lab, Node, NodeKind
from stacklab.model.state import NodeState
from stacklab.nodes.archive import Entry
from stacklab.paths import LabPaths
from stacklab.providers.containers import handles, plans
from stacklab.providers.containers.evidence import ContainersLooker
from stacklab.providers.containers.faults import ContainersFaults
from stacklab.providers.containers.handles import Container
from stacklab.providers.containers.logs import ContainersLogs
from stacklab.providers.containers.machines import Machines
from stacklab.providers.containers.snapshots import ContainersSnapshots
from stacklab.providers.contract import HostServices, LogReader, LogSource, Unreachable
from stacklab.providers.libvirt.nic_plug import LibvirtNicPlug
from stacklab.providers.libvirt.provider import LibvirtProvider
from stacklab.providers.libvirt.storage import disks
from stacklab.record import LabRecord
from stacklab.tools import bounded

_POLL_S = 0.1
# For a snapshot: longer than a node's systemd waits for a service (90 s) before it kills that.
_SHUTDOWN_S = 120.0
_NSPAWN = "systemd-nspawn"
_IS_OFF = (NodeState.OFF, NodeState.ABSENT)


class ContainersProvider:
    """See stacklab.providers.contract: Provider, and all capabilities.

    What is not a container is handed to libvirt's provider: all networks, and the lab's VMs.
    """

    name = "containers"

    def __init__(self, site: HostServices, *, vms: LibvirtProvider | None = None) -> None:
        self._site = site
        self._vms = vms or LibvirtProvider(site)

    # --- whether it can be asked

    def why_unreachable(self, *, start: bool = False) -> Unreachable | None:
        """See Provider.why_unreachable."""
        # Containers are looked at and ended without systemd-nspawn; `lab.up` probes for it.
        return self._vms.why_unreachable(start=start)

    def close(self) -> None:
        """See Provider.close."""
        self._vms.close()

    # --- making and starting

    def files(self, lab: Lab, paths: LabPaths, record: LabRecord) -> Mapping[Path, str]:
        """See Provider.files."""
        vms = _only_vms(lab)
        # Without VMs nobody has to try KVM, which boots a kernel.
        rendered: dict[Path, str] = {}
        has_kvm = False
        if vms.nodes:
            has_kvm = self._site.accelerator().is_kvm
            rendered.update(self._vms.files(vms, paths, record))
        rendered.update(plans.render(lab, paths, record, has_kvm=has_kvm))
        return rendered

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
        containers, vms = self._split(record, nodes)
        self._vms.prepare(lab, record, vms, base=base, identity=identity)
        if not containers:
            return
        root.ensure(self._site.host, base.stem, self._site.runner)
        paths = self._lab_paths(record)
        for container in containers:
            disks.write_seed(container.seed, identity(lab.node(container.name)))
            disks.empty_console(paths.console(container.name))

    def make_networks(self, lab: Lab, record: LabRecord) -> None:
        """See Provider.make_networks."""
        self._vms.make_networks(lab, record)

    def up(self, lab: Lab, paths: LabPaths, record: LabRecord, nodes: Sequence[str]) -> None:
        """See Provider.up."""
        containers, vms = self._split(record, nodes)
        machines = self._machines(record)
        starting = []
        for container in containers:
            if machines.state(container) is NodeState.PAUSED:
                machines.thaw(container)
            else:
                starting.append(container)
        with self._site.progress.stage("host", "networks"):
            self.make_networks(lab, record)
        if starting:
            with self._site.progress.stage("host", "containers"):
                self._start(record, starting)
        if vms:
            self._vms.up(lab, paths, handles.only_vms(record), vms)

    def _start(self, record: LabRecord, containers: Sequence[Container]) -> None:
        machines = self._machines(record)
        planned = plans.read(self._lab_paths(record))
        base = root.ensure(self._site.host, record.image, self._site.runner)
        starts = []
        for container in containers:
            plan = plans.plan_of(planned, container, lab=record.name)
            starts.append(functools.partial(machines.start, container, plan, base))
        bounded.together(starts, name="start")

    # --- stopping and removing

    def down(self, record: LabRecord, nodes: Sequence[str], *, patience_s: float) -> None:
        """See Provider.down."""
        containers, vms = self._split(record, nodes)
        machines = self._machines(record)
        running = [
            container for container in containers if machines.state(container) not in _IS_OFF
        ]
        bounded.together([functools.partial(machines.stop, one) for one in running], name="stop")
        self._vms.down(handles.only_vms(record), vms, patience_s=patience_s)
        deadline = time.monotonic() + patience_s
        while running and time.monotonic() < deadline:
            running = [one for one in running if machines.state(one) not in _IS_OFF]
            if running:
                names = ", ".join(container.name for container in running)
                self._site.progress.say("host", f"waiting for {names} to shut down")
                time.sleep(_POLL_S)
        for container in running:
            self._site.progress.note(
                container.name, f"did not shut down within {patience_s:.0f} s: it is killed"
            )
        # Also those that are off: nothing of them is left running.
        bounded.together(
            [functools.partial(machines.kill, container) for container in containers], name="kill"
        )

    def remove_node(self, paths: LabPaths, record: LabRecord, node: str) -> None:
        """See Provider.remove_node."""
        containers, _ = self._split(record, [node])
        if not containers:
            self._vms.remove_node(paths, handles.only_vms(record), node)
            return
        self._machines(record).remove(containers[0])
        paths.console(node).unlink(missing_ok=True)

    def undefine_node(self, paths: LabPaths, record: LabRecord, node: str) -> None:
        """See Provider.undefine_node; how a container starts is in a file, written by `files`."""
        _, vms = self._split(record, [node])
        if vms:
            self._vms.undefine_node(paths, handles.only_vms(record), node)

    def nic_plug(self, lab: Lab, record: LabRecord) -> LibvirtNicPlug:
        """See PlugsNics.nic_plug; a container is made anew instead, see workflow.lab.changes."""
        return self._vms.nic_plug(lab, handles.only_vms(record))

    def remove_network(self, record: LabRecord, network: str) -> None:
        """See Provider.remove_network."""
        self._vms.remove_network(record, network)

    def destroy(self, paths: LabPaths, record: LabRecord) -> None:
        """See Provider.destroy."""
        containers, _ = self._split(record, [node.name for node in record.nodes])
        removals = [
            functools.partial(self.remove_node, paths, record, container.name)
            for container in containers
        ]
        bounded.together(removals, name="destroy")
        # Networks last: libvirt would take away the bridge under a node that still runs.
        self._vms.destroy(paths, handles.only_vms(record))

    def close_down(self) -> None:
        """See Provider.close_down."""
        self._vms.close_down()

    def wait_for_orphan(self, paths: LabPaths, *, wait_s: float) -> None:
        """See Orphans: of containers, machine.sh itself waits for what is still at work."""
        self._vms.wait_for_orphan(paths, wait_s=wait_s)

    # --- looking

    def status(self, record: LabRecord) -> Mapping[str, NodeState]:
        """See Provider.status."""
        states = dict(self.known_states(record))
        vms = handles.only_vms(record)
        if vms.nodes:
            states.update(self._vms.status(vms))
        return {node.name: states[node.name] for node in record.nodes}

    def known_states(self, record: LabRecord) -> Mapping[str, NodeState]:
        """See PartialStates: cgroups tell what containers do, and libvirt only what VMs do."""
        containers, _ = self._split(record, [node.name for node in record.nodes])
        machines = self._machines(record)
        return {container.name: machines.state(container) for container in containers}

    def reset(self, record: LabRecord, node: str) -> None:
        """See Resets.reset."""
        containers, vms = self._split(record, [node])
        if vms:
            self._vms.reset(handles.only_vms(record), node)
        else:
            self._start(record, containers)

    def looker(self, paths: LabPaths, record: LabRecord) -> ContainersLooker:
        """See Evidence.looker."""
        libvirt, why_not = self._vms.libvirt_if_up()
        return ContainersLooker(
            libvirt,
            self._site.runner,
            paths,
            record,
            machines=self._machines(record),
            why_no_libvirt=why_not,
        )

    def state_command(self, record: LabRecord, node: str) -> str:
        """See Evidence.state_command."""
        containers, _ = self._split(record, [node])
        if not containers:
            return self._vms.state_command(record, node)
        return f"cat {self._machines(record).group(containers[0])}/cgroup.events"

    def console_argv(self, record: LabRecord, node: str) -> tuple[str, ...]:
        """See Console.console_argv."""
        containers, _ = self._split(record, [node])
        if not containers:
            return self._vms.console_argv(record, node)
        return self._machines(record).console_argv(containers[0])

    def console_log(self, paths: LabPaths, node: str) -> Path:
        """See Console.console_log."""
        return paths.console(node)

    def faults(self, lab: str, record: LabRecord) -> ContainersFaults:
        """See MakesFaults.faults."""
        return ContainersFaults(
            self._vms.libvirt,
            self._site.runner,
            self._site.host.lab(lab),
            record,
            machines=self._machines(record),
            start=lambda container: self._start(record, [container]),
        )

    def snapshots(self, lab: Lab, record: LabRecord) -> ContainersSnapshots:
        """See Snapshots.snapshots; raises ProviderError for a lab that has VMs, too."""
        names = [node.name for node in record.nodes]
        containers, vms = self._split(record, names)
        if vms:
            inside = ", ".join(container.name for container in containers)
            raise ProviderError(
                f"lab {record.name} can't have snapshots: {', '.join(vms)} would go on with their "
                f"memory, while {inside}, being containers, boot from their disks alone",
                hint=f"./invoke lab.rebuild {record.name} --as vms, or --as containers",
            )

        def start() -> None:
            self._vms.make_networks(lab, record)
            self._start(record, containers)

        return ContainersSnapshots(
            self._site.runner,
            self._lab_paths(record),
            lab,
            containers,
            machines=self._machines(record),
            shut_down=lambda nodes: self.down(record, nodes, patience_s=_SHUTDOWN_S),
            start=start,
        )

    def version_commands(self) -> Sequence[tuple[str, ...]]:
        """See HostLogs.version_commands."""
        return ((_NSPAWN, "--version"), *self._vms.version_commands())

    def log_sources(
        self, paths: LabPaths, record: LabRecord, reader: LogReader, why_not: str
    ) -> Iterator[LogSource]:
        """See HostLogs.log_sources."""
        containers, _ = self._split(record, [node.name for node in record.nodes])
        yield from ContainersLogs(paths, reader, self._machines(record), containers).sources()
        yield from self._vms.log_sources(paths, handles.only_vms(record), reader, why_not)

    # --- the record

    def _lab_paths(self, record: LabRecord) -> LabPaths:
        return self._site.host.lab(record.name)

    def _machines(self, record: LabRecord) -> Machines:
        return Machines(self._site.runner, self._lab_paths(record))

    def _split(
        self, record: LabRecord, nodes: Sequence[str]
    ) -> tuple[Sequence[Container], Sequence[str]]:
        """Return those nodes that are containers, and the names of those that are VMs."""
        paths = self._lab_paths(record)
        containers = []
        vms = []
        for name in nodes:
            node = record.node(name)
            if node is None:
                raise ProviderError(f"{name} is not on record")
            if handles.is_container(node):
                containers.append(handles.container_of(paths, node))
            else:
                vms.append(name)
        return containers, vms


def _only_vms(lab: Lab) -> Lab:
    return dataclasses.replace(lab, nodes=lab.of_kind(NodeKind.VM))
