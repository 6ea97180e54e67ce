"""`lab.fault`: make a lab's nodes, NICs and networks fail, and undo it.

`L/faults.json` lists the faults. It is written before a fault is made, and every step of
undoing accepts that its work is done already. Only the rules of a partition outlive the
nodes, and `lab.destroy` removes them. How a fault is made is the provider's business: see
stacklab.providers.contract.FaultMaker.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import time
from collections.abc import Callable, Iterable, Sequence

from stacklab.checks.expect import Fault, FaultKind, Outage
from stacklab.errors import CommandFailed, LabError, NodeNotReady, ToolError
from stacklab.foreign import printable
from stacklab.model.lab import NIC, Lab, Node
from stacklab.model.state import NodeState
from stacklab.nodes import protocol, session
from stacklab.nodes.protocol import Part
from stacklab.paths import LabPaths
from stacklab.providers.contract import FaultMaker, MakesFaults, lacking
from stacklab.record import LabRecord
from stacklab.tools import ssh
from stacklab.workflow.context import Context, not_up, read_own
from stacklab.workflow.faults import fault_list
from stacklab.workflow.faults.fault_list import listed, parse
from stacklab.workflow.nodes import wait
from stacklab.workflow.nodes.clocks import set_clocks
from stacklab.workflow.nodes.impair import impair
from stacklab.workflow.nodes.wait import Waiter

_POLL_S = 0.25
_ON_NODE_S = 30.0
# A node gets new taps by these, when they are made and when they are undone.
_CHANGE_TAPS = (FaultKind.POWER_OFF, FaultKind.UNPLUG)
# Undone in this order: a node has to run before its NIC is plugged in.
_ORDER = (
    FaultKind.POWER_OFF,
    FaultKind.PAUSE,
    FaultKind.UNPLUG,
    FaultKind.LINK_DOWN,
    FaultKind.PARTITION,
)
# Once the NIC is back. networkd configures it by itself; ifupdown and ifcfg have to be told.
_TAKE_UP = """\
n=0
until [ -e /sys/class/net/{device} ] || [ $n -ge 40 ]; do n=$((n + 1)); sleep 0.25; done
[ -d /run/systemd/netif/links ] && exit 0
PATH=$PATH:/usr/sbin:/sbin
ifdown {device} >/dev/null 2>&1
ifup {device} >&2
"""


__all__ = ["LabFaults", "apply", "clear", "forget", "listed", "parse", "settle", "undo"]


# --- for tasks, which do not hold the lab's lock


def apply(context: Context, lab: Lab, paths: LabPaths, fault: Fault) -> Fault:
    """Make the fault and list it; raises LabError, with nothing changed, when it can't be made."""
    with context.lab_lock(lab.name):
        work = _open(context, lab, paths)
        if any(str(other) == str(fault) for other in work.faults):
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
        work = _open(context, lab, paths)
        chosen = [fault for fault in work.faults if str(fault).split()[: len(words)] == list(words)]
        if words and not chosen:
            known = "; ".join(map(str, work.faults)) or "none"
            raise LabError(
                f"{' '.join(words)} is not a fault of lab {lab.name} (it has: {known})",
                hint=f"./invoke lab.fault {lab.name}",
            )
        return work.undo(chosen)


def _open(context: Context, lab: Lab, paths: LabPaths) -> LabFaults:
    record = read_own(paths)
    if record is None:
        raise not_up(context, lab.name)
    return LabFaults(context, lab, paths, record)


def _maker(context: Context, record: LabRecord) -> FaultMaker:
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


# --- for workflows that hold it


def clear(context: Context, lab: Lab, paths: LabPaths, record: LabRecord) -> tuple[Fault, ...]:
    """Undo all faults, but leave nodes off that are off: for `lab.up`, which starts them then.

    Returns what was undone, for `settle` once all nodes answer.
    """
    if not listed(paths):
        return ()
    work = LabFaults(context, lab, paths, record)
    context.progress.note("host", f"undoing {'; '.join(map(str, work.faults))}")
    undone = work.undo(
        [fault for fault in work.faults if fault.kind is not FaultKind.POWER_OFF], wait=False
    )
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
    try:
        faults = listed(paths)
    except LabError:
        # A damaged list must not keep the lab alive. Any network may have been parted.
        faults = tuple(
            Fault(kind=FaultKind.PARTITION, network=network.name) for network in record.networks
        )
    provider = context.provider(record)
    for fault in faults:
        # A network that isn't on record is not ours; it must not keep the lab alive either.
        is_ours = record.network(fault.network) is not None
        if fault.kind is FaultKind.PARTITION and is_ours and isinstance(provider, MakesFaults):
            _heal(provider.faults(record.name, record), record, fault)
    fault_list.write(paths, ())


def _heal(maker: FaultMaker, record: LabRecord, fault: Fault) -> None:
    # A list that could not be read does not tell the number of groups: take the most possible.
    maker.heal(fault.network, len(fault.groups) or len(record.nodes))


class LabFaults:
    """A lab's faults, and how they are made and undone. The caller holds the lab's lock."""

    def __init__(self, context: Context, lab: Lab, paths: LabPaths, record: LabRecord) -> None:
        self._context = context
        self._lab = lab
        self._paths = paths
        self._record = record
        self._maker = _maker(context, record)
        self.faults = list(listed(paths))

    def apply(self, fault: Fault) -> Fault:
        """See the function `apply`."""
        self._refuse(fault)
        if fault.kind is FaultKind.UNPLUG:
            slot = self._maker.slot(fault.node, self._nic(fault))
            fault = dataclasses.replace(fault, interface=slot)
        # Listed first: if this process dies half-way, `--undo` knows what to undo.
        self._write([*self.faults, dataclasses.replace(fault, at=time.time())])
        try:
            with self._context.progress.stage(fault.node or "host", str(fault)):
                self._steps(fault)()
        except BaseException:
            with contextlib.suppress(LabError):
                self.undo([self.faults[-1]], wait=False)
            raise
        self._close_connections(fault)
        if fault.kind in _CHANGE_TAPS:
            # The rules name taps, and a tap that is gone may be another lab's tomorrow.
            self._part_again()
        # Again, with the time when it was done: checks before that may still have passed.
        self._write([*self.faults[:-1], dataclasses.replace(self.faults[-1], at=time.time())])
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
            self._write(left)
        if any(fault.kind in _CHANGE_TAPS for fault in undone):
            self._part_again()  # its NICs have new taps, which the rules do not name yet
        if wait:
            self.settle(undone)
        return tuple(undone)

    def _write(self, faults: Iterable[Fault]) -> None:
        self.faults = list(faults)
        fault_list.write(self._paths, self.faults)

    # --- making

    def _refuse(self, fault: Fault) -> None:
        """Raise LabError unless the node is in a state for it."""
        name = self._lab.name
        if fault.kind is FaultKind.PARTITION:
            parted = {other.network for other in self.faults if other.kind is fault.kind}
            if fault.network in parted:
                raise LabError(
                    f"network {fault.network} is partitioned already",
                    hint=f"./invoke lab.fault {name} --undo",
                )
            # Before it is listed: a fault that can't be made must not be on the list.
            self._maker.refuse_partition(fault.network)
            return
        state = self._maker.state(fault.node)
        if state is NodeState.PAUSED and fault.kind is FaultKind.POWER_OFF:
            return
        if state is not NodeState.RUNNING:
            raise LabError(
                f"{fault.node} is {state}; {fault.kind} needs a running node",
                hint=f"./invoke lab.fault {name} lists its faults; ./invoke lab.up {name}",
            )

    def _steps(self, fault: Fault) -> Callable[[], None]:
        maker, node = self._maker, fault.node
        match fault.kind:
            case FaultKind.PAUSE:
                return lambda: maker.pause(node)
            case FaultKind.POWER_OFF:
                return lambda: maker.power_off(node)
            case FaultKind.LINK_DOWN:
                return lambda: maker.set_link(node, self._nic(fault), is_up=False)
            case FaultKind.UNPLUG:
                return lambda: maker.unplug(node, self._nic(fault), fault.interface)
            case FaultKind.PARTITION:
                return lambda: maker.part(fault.network, fault.groups)

    def _part_again(self) -> None:
        for fault in self.faults:
            if fault.kind is FaultKind.PARTITION:
                self._maker.part(fault.network, fault.groups)

    def _close_connections(self, fault: Fault) -> None:
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

    # --- undoing

    def _undo_one(self, fault: Fault) -> None:
        maker, node = self._maker, fault.node
        if fault.kind is FaultKind.PARTITION:
            _heal(maker, self._record, fault)
            return
        state = maker.state(node)
        if fault.kind is FaultKind.POWER_OFF and state in (NodeState.OFF, NodeState.CRASHED):
            maker.power_on(node)
        elif fault.kind is FaultKind.PAUSE and state is NodeState.PAUSED:
            maker.resume(node)
        elif state not in (NodeState.RUNNING, NodeState.PAUSED):
            return  # when it is started, it has all its NICs, and their cables are in
        elif fault.kind is FaultKind.UNPLUG and not maker.has_nic(node, self._nic(fault)):
            maker.plug(node, fault.interface)
        elif fault.kind is FaultKind.LINK_DOWN and maker.has_nic(node, self._nic(fault)):
            maker.set_link(node, self._nic(fault), is_up=True)

    def settle(self, undone: Sequence[Fault]) -> None:
        """Wait for nodes that were cut off, and set right on them what no host can.

        Raises NodeNotReady.
        """
        nodes = self._reachable_again(undone)
        names = {node.name for node in nodes}
        settling = [fault for fault in undone if fault.node in names]
        self._wait_until_ready(nodes, settling)
        for fault in settling:
            # The access NIC is up already: the node answered by it.
            is_access = self._lab.node(fault.node).access.device == fault.device
            if fault.kind is FaultKind.UNPLUG and not is_access:
                self._take_up(fault)
        # The clock of a node that stood still, or booted, is late.
        late = sorted({fault.node for fault in settling if fault.stops_node})
        set_clocks(self._context.runner, self._paths, [self._lab.node(name) for name in late])
        # netem lives in the kernel's device, and went away with it.
        unimpaired = {fault.node for fault in settling if fault.kind in _CHANGE_TAPS}
        if unimpaired:
            impair(self._context, self._lab, self._paths, unimpaired)

    def _wait_until_ready(self, nodes: Sequence[Node], settling: Sequence[Fault]) -> None:
        """Wait for nodes that boot as for `lab.up`'s, and briefly for all others."""
        booted = {fault.node for fault in settling if fault.kind is FaultKind.POWER_OFF}
        context = self._context
        provider = context.provider(self._record)
        waiter = Waiter(self._lab, self._paths, self._record, provider, context.progress)
        waiter.start([node for node in nodes if node.name in booted])
        waiter.finish()
        for node in nodes:
            self._wait_for(node)

    def _reachable_again(self, undone: Sequence[Fault]) -> list[Node]:
        """Return the nodes that had one of these faults, run, and are not cut off by others."""
        concerned = {fault.node for fault in undone if fault.node}
        remaining = Outage(self._lab, self.faults)
        nodes = []
        for node in self._lab.nodes:
            if node.name not in concerned or remaining.why_unreached(node.name):
                continue
            if self._maker.state(node.name) is NodeState.RUNNING:
                nodes.append(node)
        return nodes

    def _wait_for(self, node: Node) -> None:
        """Wait until a node that never stopped answers again; it is never reset for that."""
        address, deadline = str(node.access.address.ip), time.monotonic() + _ON_NODE_S
        while True:
            is_ready, reason = wait.banner(address)
            if is_ready:
                return
            if time.monotonic() > deadline:
                raise NodeNotReady(
                    f"{node.name} does not answer on {address} {_ON_NODE_S:.0f} s after its fault "
                    f"was undone ({reason})",
                    hint=f"./invoke lab.console {self._lab.name} --node {node.name}",
                )
            time.sleep(_POLL_S)

    def _take_up(self, fault: Fault) -> None:
        """Make a node configure the NIC that it has again."""
        script = _TAKE_UP.format(device=shlex.quote(fault.device))
        part = Part(tag="faults.take-up", shell=protocol.as_root(script), limit_s=_ON_NODE_S)
        reply = session.ask(
            self._context.runner, self._paths, fault.node, [part], limit_s=_ON_NODE_S
        )
        taken = reply.answer.of(part.tag)
        if taken.code != 0:
            why = reply.missing(part.tag) or taken.text or f"ended with {taken.code}"
            repair = f"sudo ifup {fault.device}"
            raise CommandFailed(
                f"{fault.node} has {fault.device} again, but can't configure it: {printable(why)}",
                hint=f"./invoke lab.exec {self._lab.name} --node {fault.node} -- {repair}",
            )

    def _nic(self, fault: Fault) -> NIC:
        nic = self._lab.node(fault.node).nic_on(fault.network)
        assert nic is not None, fault
        return nic


def _undo_order(fault: Fault) -> tuple[int, str]:
    return _ORDER.index(fault.kind), fault.device
