"""Faults that a lab has: how one is made, and made again on nodes that have started since."""

from __future__ import annotations

import contextlib

from stacklab.checks.expect import Fault, FaultKind
from stacklab.errors import ToolError
from stacklab.model.lab import NIC, Lab
from stacklab.paths import LabPaths
from stacklab.providers.contract import FaultMaker, MakesFaults, lacking
from stacklab.record import LabRecord
from stacklab.tools import ssh
from stacklab.workflow.context import Context
from stacklab.workflow.faults.fault_list import listed

_OF_NICS = (FaultKind.UNPLUG, FaultKind.LINK_DOWN)


def part_again(context: Context, lab: Lab, paths: LabPaths, record: LabRecord) -> None:
    """Name the taps of today in the rules of partitions: nodes that were restored have new ones."""
    if listed(paths):
        StandingFaults(context, lab, paths, record).part_again()


def cut_again(context: Context, lab: Lab, paths: LabPaths, record: LabRecord) -> None:
    """Make the faults of NICs again on nodes that booted: these have all NICs, with their links."""
    if listed(paths):
        StandingFaults(context, lab, paths, record).cut_again()


def maker_of(context: Context, record: LabRecord) -> FaultMaker:
    """Return who makes faults in the lab; raises ProviderError where nobody can."""
    provider = context.provider(record)
    if not isinstance(provider, MakesFaults):
        raise lacking(
            provider,
            record.name,
            "faults that can be made",
            hint=f"./invoke lab.exec {record.name} -- COMMAND breaks something inside a node",
        )
    return provider.faults(record.name, record)


class StandingFaults:
    """The faults that a lab has. The caller holds the lab's lock."""

    def __init__(self, context: Context, lab: Lab, paths: LabPaths, record: LabRecord) -> None:
        self._context = context
        self._lab = lab
        self._paths = paths
        self._record = record
        self.maker = maker_of(context, record)
        self.faults = list(listed(paths))

    def make(self, fault: Fault) -> None:
        """Make the fault, without a word in the list."""
        maker = self.maker
        match fault.kind:
            case FaultKind.PAUSE:
                maker.pause(fault.node)
            case FaultKind.POWER_OFF:
                maker.power_off(fault.node)
            case FaultKind.LINK_DOWN:
                maker.set_link(fault.node, self.nic_of(fault), is_up=False)
            case FaultKind.UNPLUG:
                maker.unplug(fault.node, self.nic_of(fault), fault.interface)
            case FaultKind.PARTITION:
                maker.part(fault.network, fault.groups)

    def part_again(self) -> None:
        """See the function `part_again`."""
        for fault in self.faults:
            if fault.kind is FaultKind.PARTITION:
                self.maker.part(fault.network, fault.groups)

    def cut_again(self) -> None:
        """See the function `cut_again`."""
        for fault in self.faults:
            # One that is unplugged still may have been left so by a killed command.
            if fault.kind in _OF_NICS and self.maker.has_nic(fault.node, self.nic_of(fault)):
                self.make(fault)
                self.close_connections(fault)

    def close_connections(self, fault: Fault) -> None:
        """End the shared ssh connection to a node that is cut off.

        It would hang for half a minute before it noticed that the node is gone.
        """
        if not fault.node:
            return
        access = self._lab.node(fault.node).access.device
        is_cut_off = fault.stops_node or fault.device == access
        if is_cut_off and (self._paths.sockets / fault.node).exists():
            with contextlib.suppress(ToolError):
                self._context.runner.run(ssh.close_command(self._paths, fault.node))

    def nic_of(self, fault: Fault) -> NIC:
        """Return the NIC that the fault is about."""
        nic = self._lab.node(fault.node).nic_on(fault.network)
        assert nic is not None, fault
        return nic
