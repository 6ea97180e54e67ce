"""Make libvirt's nodes, NICs and networks fail, and undo it.

What libvirt changes is the running domain only, so that a power-off undoes it. A
partition is made of ebtables' rules on the network's bridge, which outlive the nodes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from stacklab.errors import LabError, ProviderError, ToolError
from stacklab.model.lab import NIC
from stacklab.model.state import NodeState
from stacklab.paths import LabPaths
from stacklab.process.command import Command, Runner, as_root
from stacklab.providers.libvirt.handles import LibvirtNetwork, LibvirtNode, network_of, node_of
from stacklab.providers.libvirt.storage import disks
from stacklab.record import LabRecord
from stacklab.tools.libvirt import faults as libvirt_faults
from stacklab.tools.libvirt.domains import Libvirt
from stacklab.tools.network import ebtables

_LET_GO_S = 20.0  # a kernel under load, or an emulated one, takes seconds
_POLL_S = 0.25
_ANY_CODE = tuple(range(256))
# Options of ebtables by which rules are made: these must succeed.
_MAKING = ("-N", "-A")


class LibvirtFaults:
    """See stacklab.providers.contract.FaultMaker."""

    def __init__(
        self, libvirt: Libvirt, runner: Runner, paths: LabPaths, record: LabRecord
    ) -> None:
        self._libvirt = libvirt
        self._runner = runner
        self._paths = paths
        self._record = record

    def state(self, node: str) -> NodeState:
        """See FaultMaker.state."""
        return self._libvirt.state(self._recorded_node(node).uuid)

    def pause(self, node: str) -> None:
        """See FaultMaker.pause."""
        self._libvirt.pause(self._recorded_node(node).uuid)

    def resume(self, node: str) -> None:
        """See FaultMaker.resume."""
        self._libvirt.resume(self._recorded_node(node).uuid)

    def power_off(self, node: str) -> None:
        """See FaultMaker.power_off."""
        self._libvirt.power_off(self._recorded_node(node).uuid)

    def power_on(self, node: str) -> None:
        """See FaultMaker.power_on."""
        self._libvirt.start(self._recorded_node(node).uuid)
        disks.open_consoles(self._runner, [self._paths.console(node)])

    # --- NICs

    def has_nic(self, node: str, nic: NIC) -> bool:
        """See FaultMaker.has_nic."""
        interfaces = self._libvirt.interfaces(self._recorded_node(node).uuid)
        macs = {mac for mac, _network, _tap in interfaces}
        return nic.mac in macs

    def set_link(self, node: str, nic: NIC, *, is_up: bool) -> None:
        """See FaultMaker.set_link."""
        interface = self.slot(node, nic)
        changed = libvirt_faults.with_link(interface, is_up=is_up)
        self._libvirt.update_nic(self._recorded_node(node).uuid, changed)

    def slot(self, node: str, nic: NIC) -> str:
        """See FaultMaker.slot: the NIC in libvirt's XML."""
        xml = self._libvirt.domain_xml(self._recorded_node(node).uuid)
        interface = libvirt_faults.interface(xml, nic.mac)
        if not interface:
            raise self.no_nic_error(node, nic)
        return interface

    def no_nic_error(self, node: str, nic: NIC) -> ProviderError:
        """Return the error for a NIC that the running node lacks."""
        name = self._record.name
        return ProviderError(
            f"{nic.device} ({nic.mac}) of {node} is not plugged in now",
            hint=f"./invoke lab.fault {name} lists its faults; ./invoke lab.up {name}",
        )

    def unplug(self, node: str, nic: NIC, slot: str) -> None:
        """See FaultMaker.unplug."""
        self._libvirt.unplug(self._recorded_node(node).uuid, slot)
        # libvirt only asks the node (ACPI), whose kernel has to agree.
        deadline = time.monotonic() + _LET_GO_S
        while self.has_nic(node, nic):
            if time.monotonic() > deadline:
                name = self._record.name
                raise ProviderError(
                    f"{node} does not let go of {nic.device} within {_LET_GO_S:.0f} s",
                    hint=f"./invoke lab.console {name} --node {node}, or link-down instead",
                )
            time.sleep(_POLL_S)

    def plug(self, node: str, slot: str) -> None:
        """See FaultMaker.plug."""
        self._libvirt.plug(self._recorded_node(node).uuid, libvirt_faults.to_plug(slot))

    # --- partitions

    def refuse_partition(self, network: str) -> None:
        """See FaultMaker.refuse_partition."""
        # Both raise where something is amiss: their results are not needed yet.
        self._recorded_network(network)
        self._list_chains(f"partitioning {network}")

    def part(self, network: str, groups: Sequence[Sequence[str]]) -> None:
        """See FaultMaker.part."""
        bridge = self._recorded_network(network).bridge
        taps_of_groups = [self._find_taps(group, network) for group in groups]
        # What an earlier partition left goes first: its chains have the same names.
        removing = ebtables.heal(bridge, len(taps_of_groups))
        making = ebtables.cut(bridge, taps_of_groups)
        for argv in (*removing, *making):
            # Removing rules that do not exist fails, and is fine; making them has to succeed.
            ok_codes = (0,) if argv[1] in _MAKING else _ANY_CODE
            self._run_ebtables(argv, f"partitioning {network}", ok_codes)

    def heal(self, network: str, groups: int) -> None:
        """See FaultMaker.heal."""
        bridge = self._recorded_network(network).bridge
        what = f"ending the partition of {network}"
        for argv in ebtables.heal(bridge, groups):
            self._run_ebtables(argv, what, _ANY_CODE)
        if bridge in self._list_chains(what):
            again = f"./invoke lab.fault {self._record.name} --undo again"
            raise ProviderError(
                f"the rules that part {network} are still there",
                hint=f"ebtables -L {bridge}, then {again}",
            )

    def _run_ebtables(self, argv: Sequence[str], what: str, ok_codes: tuple[int, ...]) -> None:
        command = Command(argv=as_root(argv), what=what, ok_codes=ok_codes)
        self._runner.run(command)

    def _list_chains(self, what: str) -> frozenset[str]:
        """Return the host's chains; raises LabError where they can't be listed.

        A chain that can't be seen may still be there.
        """
        command = Command(argv=as_root(ebtables.LOOK), what=what)
        try:
            listing = self._runner.run(command).stdout
        except ToolError as error:
            raise ProviderError(
                error.message,
                hint="`sudo -n ebtables -L` has to work here; "
                f"ebtables is in the package {ebtables.PACKAGE}",
            ) from error
        return ebtables.chains(listing)

    def find_tap(self, node: str, network: str) -> str:
        """Return a node's tap on a network; "" while the node is off."""
        domain = self._recorded_node(node)
        if self._libvirt.state(domain.uuid) not in (NodeState.RUNNING, NodeState.PAUSED):
            return ""
        libvirt_name = self._recorded_network(network).libvirt_name
        for _mac, source, tap in self._libvirt.interfaces(domain.uuid):
            if source == libvirt_name:
                return tap
        return ""

    def _find_taps(self, nodes: Sequence[str], network: str) -> list[str]:
        """Return the taps of those nodes on a network, without nodes that are off."""
        taps = [self.find_tap(node, network) for node in nodes]
        return [tap for tap in taps if tap]

    # --- the record

    def _recorded_node(self, name: str) -> LibvirtNode:
        node = self._record.node(name)
        if node is None:
            raise self._not_on_record_error(name)
        return node_of(self._paths, node)

    def _recorded_network(self, name: str) -> LibvirtNetwork:
        network = self._record.network(name)
        if network is None:
            raise self._not_on_record_error(f"network {name}")
        return network_of(self._record.name, network)

    def _not_on_record_error(self, what: str) -> LabError:
        return LabError(
            f"{what} is not on record", hint=f"./invoke lab.rebuild {self._record.name}"
        )
