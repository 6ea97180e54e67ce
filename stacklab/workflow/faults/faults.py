"""`lab.fault`: make a lab's nodes, NICs and networks fail, and undo it.

`L/faults.json` lists the faults. It is written before a fault is made, and every step of
undoing accepts that its work is done already. Only the rules of a partition outlive the
nodes, and `lab.destroy` removes them. How a fault is made is the provider's business: see
stacklab.providers.contract.FaultMaker.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterable, Sequence

from stacklab.checks.expect import Fault, FaultKind
from stacklab.errors import LabError
from stacklab.model.lab import Lab
from stacklab.model.state import NodeState
from stacklab.paths import LabPaths
from stacklab.providers.contract import FaultMaker, MakesFaults
from stacklab.record import LabRecord
from stacklab.workflow.context import Context, not_up, read_own
from stacklab.workflow.faults import fault_list
from stacklab.workflow.faults.fault_list import listed, parse
from stacklab.workflow.faults.settling import CHANGE_TAPS, Settler
from stacklab.workflow.faults.standing import StandingFaults

# Undone in this order: a node has to run before its NIC is plugged in.
_ORDER = (
    FaultKind.POWER_OFF,
    FaultKind.PAUSE,
    FaultKind.UNPLUG,
    FaultKind.LINK_DOWN,
    FaultKind.PARTITION,
)
__all__ = [
    "LabFaults",
    "apply",
    "clear",
    "forget",
    "listed",
    "parse",
    "settle",
    "undo",
]


# --- for tasks, which do not hold the lab's lock


def apply(context: Context, lab: Lab, paths: LabPaths, fault: Fault) -> Fault:
    """Make the fault and list it; raises LabError, with nothing changed, when it can't be made."""
    with context.lab_lock(lab.name):
        work = _open_faults(context, lab, paths)
        # Compared as people write it: one on the list also has the time when it was made.
        if str(fault) in map(str, work.faults):
            raise LabError(
                f"lab {lab.name} has {fault} already",
                hint=f"./invoke lab.fault {lab.name} --undo {fault}",
            )
        return work.apply(fault)


def undo(
    context: Context, lab: Lab, paths: LabPaths, words: Sequence[str] = ()
) -> tuple[Fault, ...]:
    """Undo the faults whose words begin with these, or all, and wait until their nodes answer.

    Returns what was undone; raises LabError when no fault is called so.
    """
    with context.lab_lock(lab.name):
        work = _open_faults(context, lab, paths)
        chosen = [fault for fault in work.faults if _begins_with(fault, words)]
        if words and not chosen:
            known = "; ".join(map(str, work.faults)) or "none"
            raise LabError(
                f"{' '.join(words)} is not a fault of lab {lab.name} (it has: {known})",
                hint=f"./invoke lab.fault {lab.name}",
            )
        return work.undo(chosen)


def _begins_with(fault: Fault, words: Sequence[str]) -> bool:
    first_words = str(fault).split()[: len(words)]
    return first_words == list(words)


def _open_faults(context: Context, lab: Lab, paths: LabPaths) -> LabFaults:
    record = read_own(paths)
    if record is None:
        raise not_up(context, lab.name)
    return LabFaults(context, lab, paths, record)


# --- for workflows that hold it


def clear(context: Context, lab: Lab, paths: LabPaths, record: LabRecord) -> tuple[Fault, ...]:
    """Undo all faults, but leave nodes off that are off: for `lab.up`, which starts them then.

    Returns what was undone, for `settle` once all nodes answer.
    """
    if not listed(paths):
        return ()
    work = LabFaults(context, lab, paths, record)
    context.progress.note("host", f"undoing {'; '.join(map(str, work.faults))}")
    chosen = [fault for fault in work.faults if fault.kind is not FaultKind.POWER_OFF]
    undone = work.undo(chosen, wait=False)
    fault_list.write(paths, ())
    return undone


def settle(
    context: Context, lab: Lab, paths: LabPaths, record: LabRecord, undone: Sequence[Fault]
) -> None:
    """Set right on nodes what the host can't (clocks, NICs): for `lab.up`, once all answer."""
    if undone:
        LabFaults(context, lab, paths, record).settle(undone)


def forget(context: Context, paths: LabPaths, record: LabRecord) -> None:
    """Remove from the host what outlives the nodes, which is partitions, and the list.

    For `lab.down`, `lab.destroy` and `lab.rebuild`, once the nodes are off.
    """
    provider = context.provider(record)
    for fault in _partitions(paths, record):
        # A network that isn't on record is not ours; it must not keep the lab alive either.
        is_ours = record.network(fault.network) is not None
        if is_ours and isinstance(provider, MakesFaults):
            _heal_network(provider.faults(record.name, record), record, fault)
    fault_list.write(paths, ())


def _partitions(paths: LabPaths, record: LabRecord) -> list[Fault]:
    try:
        return [fault for fault in listed(paths) if fault.kind is FaultKind.PARTITION]
    except LabError:
        # A damaged list must not keep the lab alive. Any network may have been parted.
        return [
            Fault(kind=FaultKind.PARTITION, network=network.name) for network in record.networks
        ]


def _heal_network(maker: FaultMaker, record: LabRecord, fault: Fault) -> None:
    # A list that could not be read does not tell the number of groups: take the most possible.
    maker.heal(fault.network, len(fault.groups) or len(record.nodes))


class LabFaults(StandingFaults):
    """Makes and undoes a lab's faults. The caller holds the lab's lock."""

    def apply(self, fault: Fault) -> Fault:
        """See the function `apply`."""
        self._refuse(fault)
        if fault.kind is FaultKind.UNPLUG:
            slot = self.maker.slot(fault.node, self.nic_of(fault))
            fault = dataclasses.replace(fault, interface=slot)
        # Listed first: if this process dies half-way, `--undo` knows what to undo.
        self._write_list([*self.faults, dataclasses.replace(fault, at=time.time())])
        try:
            with self._context.progress.stage(fault.node or "host", str(fault)):
                self.make(fault)
        except BaseException:
            with contextlib.suppress(LabError):
                self.undo([self.faults[-1]], wait=False)
            raise
        self.close_connections(fault)
        if fault.kind in CHANGE_TAPS:
            # The rules name taps, and a tap that is gone may be another lab's tomorrow.
            self.part_again()
        # Again, with the time when it was done: checks before that may still have passed.
        done = dataclasses.replace(self.faults[-1], at=time.time())
        self._write_list([*self.faults[:-1], done])
        return self.faults[-1]

    def undo(self, chosen: Sequence[Fault], *, wait: bool = True) -> tuple[Fault, ...]:
        """See the function `undo`; without `wait`, the caller has to `settle` the nodes."""
        undone: list[Fault] = []
        for fault in sorted(chosen, key=_undo_order):
            with self._context.progress.stage(fault.node or "host", f"undoing {fault}"):
                self._undo_one(fault)
            undone.append(fault)
            left = [other for other in self.faults if other != fault]
            if fault.kind is FaultKind.POWER_OFF:
                # The node came up with all its NICs and with their cables in.
                also_undone = [other for other in left if other.node == fault.node]
                undone += also_undone
                left = [other for other in left if other not in also_undone]
            # After each: if this process dies half-way, the list has what is left to undo.
            self._write_list(left)
        if any(fault.kind in CHANGE_TAPS for fault in undone):
            self.part_again()  # its NICs have new taps, which the rules do not name yet
        if wait:
            self.settle(undone)
        return tuple(undone)

    def settle(self, undone: Sequence[Fault]) -> None:
        """Wait for nodes that were cut off, and set right on them what no host can.

        Raises NodeNotReady.
        """
        settler = Settler(
            context=self._context,
            lab=self._lab,
            paths=self._paths,
            record=self._record,
            maker=self.maker,
        )
        settler.settle(undone, remaining=self.faults)

    def _write_list(self, faults: Iterable[Fault]) -> None:
        self.faults = list(faults)
        fault_list.write(self._paths, self.faults)

    # --- making

    def _refuse(self, fault: Fault) -> None:
        """Raise LabError unless the node or the network is in a state for it."""
        if fault.kind is FaultKind.PARTITION:
            self._refuse_partition(fault)
            return
        state = self.maker.state(fault.node)
        if state is NodeState.PAUSED and fault.kind is FaultKind.POWER_OFF:
            return
        if state is not NodeState.RUNNING:
            name = self._lab.name
            raise LabError(
                f"{fault.node} is {state}; {fault.kind} needs a running node",
                hint=f"./invoke lab.fault {name} lists its faults; ./invoke lab.up {name}",
            )

    def _refuse_partition(self, fault: Fault) -> None:
        parted = [other.network for other in self.faults if other.kind is FaultKind.PARTITION]
        if fault.network in parted:
            raise LabError(
                f"network {fault.network} is partitioned already",
                hint=f"./invoke lab.fault {self._lab.name} --undo",
            )
        # Before it is listed: a fault that can't be made must not be on the list.
        self.maker.refuse_partition(fault.network)

    # --- undoing

    def _undo_one(self, fault: Fault) -> None:
        """Undo what is left of a fault: the node may have been started or resumed meanwhile."""
        maker = self.maker
        if fault.kind is FaultKind.PARTITION:
            _heal_network(maker, self._record, fault)
            return
        state = maker.state(fault.node)
        if fault.kind is FaultKind.POWER_OFF:
            if state in (NodeState.OFF, NodeState.CRASHED):
                maker.power_on(fault.node)
        elif fault.kind is FaultKind.PAUSE:
            if state is NodeState.PAUSED:
                maker.resume(fault.node)
        # When any other node is started, it has all its NICs, and their cables are in.
        elif state in (NodeState.RUNNING, NodeState.PAUSED):
            self._repair_nic(fault)

    def _repair_nic(self, fault: Fault) -> None:
        maker = self.maker
        nic = self.nic_of(fault)
        has_nic = maker.has_nic(fault.node, nic)
        if fault.kind is FaultKind.UNPLUG and not has_nic:
            maker.plug(fault.node, fault.interface)
        elif fault.kind is FaultKind.LINK_DOWN and has_nic:
            maker.set_link(fault.node, nic, is_up=True)


def _undo_order(fault: Fault) -> tuple[int, str]:
    return _ORDER.index(fault.kind), fault.device
