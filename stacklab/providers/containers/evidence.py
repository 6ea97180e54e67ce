"""Look at containers from this host; at VMs beside them as libvirt's provider does."""

from __future__ import annotations

from collections.abc import Callable

from stacklab.errors import ProviderError
from stacklab.model.host_network import Plug
from stacklab.model.lab import Node
from stacklab.model.state import NodeState
from stacklab.paths import LabPaths
from stacklab.process.command import Runner
from stacklab.providers.containers import handles, links, plans
from stacklab.providers.containers.handles import Container
from stacklab.providers.containers.machines import Machines
from stacklab.providers.libvirt.evidence import DomainFacts, LibvirtLooker
from stacklab.providers.libvirt.handles import LibvirtNetwork
from stacklab.record import LabRecord
from stacklab.tools.libvirt.domains import Libvirt
from stacklab.tools.network.knock import Knock

_IS_ON = (NodeState.RUNNING, NodeState.PAUSED)


class ContainersLooker(LibvirtLooker):
    """See stacklab.providers.contract.Looker."""

    def __init__(
        self,
        libvirt: Libvirt | None,
        runner: Runner | None,
        paths: LabPaths,
        record: LabRecord,
        *,
        machines: Machines,
        why_no_libvirt: str = "libvirtd does not answer",
        knocker: Callable[[str], Knock] | None = None,
    ) -> None:
        super().__init__(
            libvirt, runner, paths, record, why_no_libvirt=why_no_libvirt, knocker=knocker
        )
        self._machines = machines

    def title(self, node: Node) -> str:
        """Return what the node is called on this host."""
        container = self._container(node)
        return f"container {container.machine}" if container else super().title(node)

    def has_leases(self, node: Node) -> bool:
        """Return False for a container: its addresses are set from outside."""
        return self._container(node) is None

    def ask_domain(
        self, node: Node, access: LibvirtNetwork | None, why_not: list[str]
    ) -> DomainFacts:
        """Return what is known of a container; adds to `why_not` what can't be told."""
        container = self._container(node)
        if container is None:
            return super().ask_domain(node, access, why_not)
        try:
            state = self._machines.state(container)
            plugs = self._plugs(container, is_on=state in _IS_ON)
        except ProviderError as error:
            why_not.append(error.message)
            return DomainFacts()
        return DomainFacts(state=state, plugs=plugs)

    def _plugs(self, container: Container, *, is_on: bool) -> tuple[Plug, ...]:
        """Return its NICs; while it is on, those that it has at this moment."""
        plugs = []
        for nic in plans.read_one(self._paths, container).nics:
            if is_on and not links.is_there(nic.end):
                continue
            plugs.append(
                Plug(
                    mac=nic.mac,
                    network="",
                    bridge=nic.bridge,
                    tap=nic.end if is_on else "",
                    is_linked=not is_on or links.is_up(nic.end),
                )
            )
        return tuple(plugs)

    def _container(self, node: Node) -> Container | None:
        recorded = self._record.node(node.name)
        if recorded is None or not handles.is_container(recorded):
            return None
        return handles.container_of(self._paths, recorded)
