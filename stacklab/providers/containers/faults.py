"""Make containers and their NICs fail, and undo it; VMs beside them as libvirt's provider does."""

from __future__ import annotations

from collections.abc import Callable

from stacklab.errors import ProviderError
from stacklab.model.lab import NIC
from stacklab.model.state import NodeState
from stacklab.paths import LabPaths
from stacklab.process.command import Runner
from stacklab.providers.containers import handles, links, plans
from stacklab.providers.containers.handles import Container
from stacklab.providers.containers.machines import Machines
from stacklab.providers.containers.plans import NicPlan
from stacklab.providers.libvirt.faults import LibvirtFaults
from stacklab.record import LabRecord
from stacklab.tools.libvirt.domains import Libvirt


class ContainersFaults(LibvirtFaults):
    """See stacklab.providers.contract.FaultMaker.

    A partition is that of libvirt's provider, whose rules name the ends of NICs, whatever is
    behind them.
    """

    def __init__(
        self,
        libvirt: Libvirt,
        runner: Runner,
        paths: LabPaths,
        record: LabRecord,
        *,
        machines: Machines,
        start: Callable[[Container], None],
    ) -> None:
        super().__init__(libvirt, runner, paths, record)
        self._machines = machines
        self._start = start

    # --- nodes

    def state(self, node: str) -> NodeState:
        """See FaultMaker.state."""
        container = self._container(node)
        return self._machines.state(container) if container else super().state(node)

    def pause(self, node: str) -> None:
        """See FaultMaker.pause."""
        container = self._container(node)
        if container is None:
            super().pause(node)
        else:
            self._machines.freeze(container)

    def resume(self, node: str) -> None:
        """See FaultMaker.resume."""
        container = self._container(node)
        if container is None:
            super().resume(node)
        else:
            self._machines.thaw(container)

    def power_off(self, node: str) -> None:
        """See FaultMaker.power_off."""
        container = self._container(node)
        if container is None:
            super().power_off(node)
        else:
            self._machines.kill(container)

    def power_on(self, node: str) -> None:
        """See FaultMaker.power_on."""
        container = self._container(node)
        if container is None:
            super().power_on(node)
        else:
            self._start(container)

    # --- NICs

    def has_nic(self, node: str, nic: NIC) -> bool:
        """See FaultMaker.has_nic."""
        container = self._container(node)
        if container is None:
            return super().has_nic(node, nic)
        return links.is_there(self._plan(container, nic).end)

    def set_link(self, node: str, nic: NIC, *, is_up: bool) -> None:
        """See FaultMaker.set_link."""
        container = self._container(node)
        if container is None:
            super().set_link(node, nic, is_up=is_up)
        else:
            self._machines.set_link(container, self.slot(node, nic), is_up=is_up)

    def slot(self, node: str, nic: NIC) -> str:
        """See FaultMaker.slot: of a container, the host's end of the NIC."""
        container = self._container(node)
        if container is None:
            return super().slot(node, nic)
        if not self.has_nic(node, nic):
            raise self.no_nic_error(node, nic)
        return self._plan(container, nic).end

    def unplug(self, node: str, nic: NIC, slot: str) -> None:
        """See FaultMaker.unplug."""
        container = self._container(node)
        if container is None:
            super().unplug(node, nic, slot)
        else:
            self._machines.unplug(container, slot)

    def plug(self, node: str, slot: str) -> None:
        """See FaultMaker.plug."""
        container = self._container(node)
        if container is None:
            super().plug(node, slot)
            return
        for plan in plans.read_one(self._paths, container).nics:
            if plan.end == slot:
                self._machines.plug(container, plan)

    def find_tap(self, node: str, network: str) -> str:
        """Return the host's end of a node's NIC on a network; "" while the node is off."""
        container = self._container(node)
        if container is None:
            return super().find_tap(node, network)
        bridge = self._recorded_network(network).bridge
        for plan in plans.read_one(self._paths, container).nics:
            if plan.bridge == bridge and links.is_there(plan.end):
                return plan.end
        return ""

    # --- the record

    def _container(self, name: str) -> Container | None:
        """Return a node's container; None where it is a VM, or not on record."""
        node = self._record.node(name)
        if node is None or not handles.is_container(node):
            return None
        return handles.container_of(self._paths, node)

    def _plan(self, container: Container, nic: NIC) -> NicPlan:
        for plan in plans.read_one(self._paths, container).nics:
            if plan.mac == nic.mac:
                return plan
        whose = f"{nic.device} ({nic.mac}) of {container.name}"
        raise ProviderError(
            f"{whose} is not among those that it was made with",
            hint=f"./invoke lab.rebuild {self._record.name}",
        )
