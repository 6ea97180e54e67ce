"""`lab.fault`: make a lab's nodes, NICs and networks fail, and undo it.

`L/faults.json` lists what fails; it is written before anything is done, and every step
of undoing may find its work done already. Nothing outlives the nodes but the rules of
a partition, and those go with `lab.destroy`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import time
from collections.abc import Callable, Iterable, Sequence

from stacklab.checks.expect import Fault, FaultKind, Outage
from stacklab.errors import CommandFailed, LabError, NodeNotReady, ProviderError, ToolError
from stacklab.foreign import printable
from stacklab.model.lab import NIC, Lab, Node
from stacklab.model.state import NodeState
from stacklab.nodes import protocol, session
from stacklab.nodes.protocol import Part
from stacklab.paths import LabPaths
from stacklab.process import Command, as_root
from stacklab.record import LabRecord
from stacklab.tools import ebtables, libvirt_faults, ssh
from stacklab.workflow.context import Context, not_up, read_own
from stacklab.workflow.faults import fault_list
from stacklab.workflow.faults.fault_list import listed, parse
from stacklab.workflow.nodes import wait
from stacklab.workflow.nodes.clocks import set_clocks
from stacklab.workflow.nodes.impair import impair
from stacklab.workflow.nodes.wait import Waiter

_LET_GO_S = 20.0
_POLL_S = 0.25
_ANY_CODE = tuple(range(256))
_ON_NODE_S = 30.0
# Undone in this order: a node has to run before its NIC is plugged in.
_ORDER = (
    FaultKind.POWER_OFF,
    FaultKind.PAUSE,
    FaultKind.UNPLUG,
    FaultKind.LINK_DOWN,
    FaultKind.PARTITION,
)
# Once the NIC is back: networkd takes it up by itself, ifupdown and ifcfg want to be told.
_TAKE_UP = """\
n=0
until [ -e /sys/class/net/{device} ] || [ $n -ge 40 ]; do n=$((n + 1)); sleep 0.25; done
[ -d /run/systemd/netif/links ] && exit 0
PATH=$PATH:/usr/sbin:/sbin
ifdown {device} >/dev/null 2>&1
ifup {device} >&2
"""


__all__ = ["Faults", "apply", "clear", "forget", "listed", "parse", "settle", "undo"]


# --- for tasks, which do not hold the lab's lock


def apply(context: Context, lab: Lab, paths: LabPaths, fault: Fault) -> Fault:
    """Make it so, and put it on the list; raises LabError when it can't be, with nothing changed."""
    with context.lab_lock(lab.name):
        work = _open(context, lab, paths)
        if any(str(each) == str(fault) for each in work.faults):
            raise LabError(
                f"lab {lab.name} has {fault} already",
                hint=f"./invoke lab.fault {lab.name} --undo {fault}",
            )
        return work.apply(fault)


def undo(
    context: Context, lab: Lab, paths: LabPaths, words: Sequence[str] = ()
) -> tuple[Fault, ...]:
    """Undo the faults whose words begin with these, or all; waits until nodes that were cut off answer.

    Returns what was undone; raises LabError when no fault is called so.
    """
    with context.lab_lock(lab.name):
        work = _open(context, lab, paths)
        chosen = [each for each in work.faults if str(each).split()[: len(words)] == list(words)]
        if words and not chosen:
            known = "; ".join(map(str, work.faults)) or "none"
            hint = f"./invoke lab.fault {lab.name}"
            raise LabError(
                f"lab {lab.name} has no fault {' '.join(words)} (it has: {known})", hint=hint
            )
        return work.undo(chosen)


def _open(context: Context, lab: Lab, paths: LabPaths) -> Faults:
    kept = read_own(paths)
    if kept is None:
        raise not_up(context, lab.name)
    return Faults(context, lab, paths, kept)


# --- for workflows that hold it


def clear(context: Context, lab: Lab, paths: LabPaths, kept: LabRecord) -> tuple[Fault, ...]:
    """For `lab.up`, before it starts nodes: undo all, but leave to it what is off; `settle` is for what it returns."""
    work = Faults(context, lab, paths, kept)
    if not work.faults:
        return ()
    context.progress.note("host", f"undoing {'; '.join(map(str, work.faults))}")
    undone = work.undo(
        [each for each in work.faults if each.kind is not FaultKind.POWER_OFF], wait=False
    )
    fault_list.write(paths, ())
    return undone


def settle(
    context: Context, lab: Lab, paths: LabPaths, kept: LabRecord, undone: Sequence[Fault]
) -> None:
    """For `lab.up`, once all nodes answer: put right on them what no host can (clocks, NICs)."""
    if undone:
        Faults(context, lab, paths, kept).settle(undone)


def forget(context: Context, paths: LabPaths, kept: LabRecord) -> None:
    """For `lab.down`, `lab.destroy` and `lab.rebuild`, once the nodes are off: leave nothing of a fault on the host."""
    try:
        found = listed(paths)
    except (
        LabError
    ):  # what can't be read must not keep the lab alive: any bridge may have been parted
        found = tuple(
            Fault(kind=FaultKind.PARTITION, network=network.name) for network in kept.networks
        )
    for fault in found:
        # A network that isn't on record is none of ours, and no reason to keep the lab.
        if fault.kind is FaultKind.PARTITION and any(
            each.name == fault.network for each in kept.networks
        ):
            _heal(context, kept, fault)
    fault_list.write(paths, ())


class Faults:
    """A lab's faults, and how they are made and undone. For callers that hold the lab's lock."""

    def __init__(self, context: Context, lab: Lab, paths: LabPaths, kept: LabRecord) -> None:
        self._context = context
        self._libvirt = context.libvirt
        self._lab = lab
        self._paths = paths
        self._kept = kept
        self.faults = list(listed(paths))

    def apply(self, fault: Fault) -> Fault:
        """See the function."""
        self._refuse(fault)
        if fault.kind is FaultKind.UNPLUG:
            fault = dataclasses.replace(fault, interface=self._interface(fault))
        self._keep([*self.faults, dataclasses.replace(fault, at=time.time())])
        try:
            with self._context.progress.stage(fault.node or "host", str(fault)):
                self._steps(fault)()
        except BaseException:
            with contextlib.suppress(LabError):
                self.undo([self.faults[-1]], wait=False)
            raise
        self._close_connections(fault)
        if fault.kind in (FaultKind.POWER_OFF, FaultKind.UNPLUG):
            self._part_again()  # a tap that is gone may be another lab's tomorrow
        self._keep([*self.faults[:-1], dataclasses.replace(self.faults[-1], at=time.time())])
        return self.faults[-1]

    def undo(self, chosen: Sequence[Fault], *, wait: bool = True) -> tuple[Fault, ...]:
        """See the function; with `wait` off, what a node has to do itself is left to the caller."""
        undone: list[Fault] = []
        for fault in sorted(chosen, key=lambda each: (_ORDER.index(each.kind), each.device)):
            with self._context.progress.stage(fault.node or "host", f"undoing {fault}"):
                self._undo_one(fault)
            undone.append(fault)
            left = [each for each in self.faults if each != fault]
            if fault.kind is FaultKind.POWER_OFF:
                # It came up with all its NICs, and their cables in.
                gone = [each for each in left if each.node == fault.node]
                undone += gone
                left = [each for each in left if each not in gone]
            self._keep(left)
        if any(each.kind in (FaultKind.POWER_OFF, FaultKind.UNPLUG) for each in undone):
            self._part_again()  # new taps
        if wait:
            self.settle(undone)
        return tuple(undone)

    def _keep(self, faults: Iterable[Fault]) -> None:
        self.faults = list(faults)
        fault_list.write(self._paths, self.faults)

    # --- making

    def _refuse(self, fault: Fault) -> None:
        """Raise LabError when a node is not in a state for it."""
        if fault.kind is FaultKind.PARTITION:
            if any(
                each.kind is fault.kind and each.network == fault.network for each in self.faults
            ):
                hint = f"./invoke lab.fault {self._lab.name} --undo"
                raise LabError(f"network {fault.network} is partitioned already", hint=hint)
            _chains(
                self._context, f"partitioning {fault.network}"
            )  # what can't be made must not be listed
            return
        state = self._libvirt.state(self._uuid(fault.node))
        if state is NodeState.PAUSED and fault.kind is FaultKind.POWER_OFF:
            return
        if state is not NodeState.RUNNING:
            hint = f"./invoke lab.fault {self._lab.name} lists its faults; ./invoke lab.up {self._lab.name}"
            raise LabError(f"{fault.node} is {state}: {fault.kind} wants it running", hint=hint)

    def _steps(self, fault: Fault) -> Callable[[], None]:
        uuid = self._uuid(fault.node) if fault.node else ""
        match fault.kind:
            case FaultKind.PAUSE:
                return lambda: self._libvirt.pause(uuid)
            case FaultKind.POWER_OFF:
                return lambda: self._libvirt.power_off(uuid)
            case FaultKind.LINK_DOWN:
                return lambda: self._set_link(fault, is_up=False)
            case FaultKind.UNPLUG:
                return lambda: self._unplug(fault)
            case FaultKind.PARTITION:
                return lambda: self._part(fault)

    def _interface(self, fault: Fault) -> str:
        found = libvirt_faults.interface(
            self._libvirt.domain_xml(self._uuid(fault.node)), self._nic(fault).mac
        )
        if not found:
            hint = f"./invoke lab.fault {self._lab.name} lists its faults; ./invoke lab.up {self._lab.name}"
            raise ProviderError(
                f"{fault.node} has no {fault.device} ({self._nic(fault).mac}) now", hint=hint
            )
        return found

    def _set_link(self, fault: Fault, *, is_up: bool) -> None:
        self._libvirt.update_nic(
            self._uuid(fault.node), libvirt_faults.with_link(self._interface(fault), is_up=is_up)
        )

    def _unplug(self, fault: Fault) -> None:
        self._libvirt.unplug(self._uuid(fault.node), fault.interface)
        deadline = time.monotonic() + _LET_GO_S
        while self._has_nic(fault):
            if time.monotonic() > deadline:
                hint = f"./invoke lab.console {self._lab.name} --node {fault.node}, or link-down instead"
                why = f"{fault.node} does not let go of {fault.device} within {_LET_GO_S:.0f} s"
                raise ProviderError(why, hint=hint)
            time.sleep(_POLL_S)

    def _has_nic(self, fault: Fault) -> bool:
        mac = self._nic(fault).mac
        return any(found == mac for found, _, _ in self._libvirt.interfaces(self._uuid(fault.node)))

    def _part(self, fault: Fault) -> None:
        bridge = _bridge(self._kept, fault.network)
        taps = [
            [tap for name in group if (tap := self._tap(name, fault.network))]
            for group in fault.groups
        ]
        for argv in (*ebtables.heal(bridge, len(taps)), *ebtables.cut(bridge, taps)):
            ok = (0,) if argv[1] in ("-N", "-A") else _ANY_CODE
            what = f"partitioning {fault.network}"
            self._context.runner.run(Command(argv=as_root(argv), what=what, ok_codes=ok))

    def _tap(self, node: str, network: str) -> str:
        """A node's tap on a network; "" while it has none."""
        nic = self._lab.node(node).nic_on(network)
        if self._libvirt.state(self._uuid(node)) not in (NodeState.RUNNING, NodeState.PAUSED):
            return ""
        taps = {mac: tap for mac, _, tap in self._libvirt.interfaces(self._uuid(node))}
        return taps.get(nic.mac, "") if nic else ""

    def _part_again(self) -> None:
        for fault in self.faults:
            if fault.kind is FaultKind.PARTITION:
                self._part(fault)

    def _close_connections(self, fault: Fault) -> None:
        """End the shared connection to a node that is cut off: it would hang for half a minute before it noticed."""
        cuts = fault.node and (
            fault.stops_node or fault.device == self._lab.node(fault.node).access.device
        )
        if cuts and (self._paths.sockets / fault.node).exists():
            with contextlib.suppress(ToolError):
                self._context.runner.run(ssh.close_command(self._paths, fault.node))

    # --- undoing

    def _undo_one(self, fault: Fault) -> None:
        if fault.kind is FaultKind.PARTITION:
            _heal(self._context, self._kept, fault)
            return
        uuid = self._uuid(fault.node)
        state = self._libvirt.state(uuid)
        if fault.kind is FaultKind.POWER_OFF and state in (NodeState.OFF, NodeState.CRASHED):
            self._libvirt.start(uuid)
        elif fault.kind is FaultKind.PAUSE and state is NodeState.PAUSED:
            self._libvirt.resume(uuid)
        elif state not in (NodeState.RUNNING, NodeState.PAUSED):
            return  # it comes up with all its NICs, and their cables in
        elif fault.kind is FaultKind.UNPLUG and not self._has_nic(fault):
            self._libvirt.plug(uuid, libvirt_faults.to_plug(fault.interface))
        elif fault.kind is FaultKind.LINK_DOWN and self._has_nic(fault):
            self._set_link(fault, is_up=True)

    def settle(self, undone: Sequence[Fault]) -> None:
        """Wait for nodes that were cut off, and put right on them what no host can; raises NodeNotReady."""
        left = Outage(self._lab, self.faults)
        hurt = {fault.node for fault in undone if fault.node}
        nodes = [n for n in self._lab.nodes if n.name in hurt and not left.why_unreached(n.name)]
        nodes = [n for n in nodes if self._libvirt.state(self._uuid(n.name)) is NodeState.RUNNING]
        reached = {node.name for node in nodes}
        mine = [fault for fault in undone if fault.node in reached]
        booted = {fault.node for fault in mine if fault.kind is FaultKind.POWER_OFF}
        self._open_consoles(booted)
        waiter = Waiter(
            self._lab, self._paths, self._kept, self._context.provider(), self._context.progress
        )
        waiter.start([node for node in nodes if node.name in booted])
        waiter.finish()
        for node in nodes:
            self._wait_for(node)
        for fault in mine:
            if (
                fault.kind is FaultKind.UNPLUG
                and self._nic(fault) is not self._lab.node(fault.node).access
            ):
                self._take_up(fault)
        late = sorted({fault.node for fault in mine if fault.stops_node})
        set_clocks(self._context.runner, self._paths, [self._lab.node(name) for name in late])
        anew = {
            fault.node for fault in mine if fault.kind in (FaultKind.POWER_OFF, FaultKind.UNPLUG)
        }
        if anew:
            impair(self._context, self._lab, self._paths, anew)

    def _wait_for(self, node: Node) -> None:
        """Wait until a node that never stopped answers again; it isn't reset, whatever its console says."""
        address, deadline = str(node.access.address.ip), time.monotonic() + _ON_NODE_S
        while not (found := wait.banner(address))[0]:
            if time.monotonic() > deadline:
                hint = f"./invoke lab.console {self._lab.name} --node {node.name}"
                why = f"{node.name} does not answer on {address} {_ON_NODE_S:.0f} s after its fault was undone"
                raise NodeNotReady(f"{why} ({found[1]})", hint=hint)
            time.sleep(_POLL_S)

    def _open_consoles(self, nodes: Iterable[str]) -> None:
        """Let us read what they say: at every start virtlogd makes the file anew, root's and shut."""
        consoles = [str(self._paths.console(node)) for node in nodes]
        if consoles:
            with contextlib.suppress(LabError):  # without sudo the nodes run all the same
                argv = as_root(("chmod", "0644", *consoles))
                self._context.runner.run(Command(argv=argv, what="opening the console logs"))

    def _take_up(self, fault: Fault) -> None:
        """Have a node configure the NIC that it has again."""
        script = _TAKE_UP.format(device=shlex.quote(fault.device))
        part = Part(tag="faults.take-up", shell=protocol.as_root(script), limit_s=_ON_NODE_S)
        reply = session.ask(
            self._context.runner, self._paths, fault.node, [part], limit_s=_ON_NODE_S
        )
        taken = reply.answer.of(part.tag)
        if taken.code != 0:
            said = reply.missing(part.tag) or taken.text or f"ended with {taken.code}"
            hint = f"./invoke lab.exec {self._lab.name} --node {fault.node} -- sudo ifup {fault.device}"
            raise CommandFailed(
                f"{fault.node} has {fault.device} again and does not take it up: {printable(said)}",
                hint=hint,
            )

    def _nic(self, fault: Fault) -> NIC:
        found = self._lab.node(fault.node).nic_on(fault.network)
        assert found is not None, fault
        return found

    def _uuid(self, node: str) -> str:
        found = self._kept.node(node)
        if found is None:
            raise LabError(
                f"{node} is not on record", hint=f"./invoke lab.rebuild {self._lab.name}"
            )
        return found.uuid


def _bridge(kept: LabRecord, network: str) -> str:
    found = next((each for each in kept.networks if each.name == network), None)
    if found is None:
        raise LabError(
            f"network {network} is not on record", hint=f"./invoke lab.rebuild {kept.name}"
        )
    return found.bridge


def _heal(context: Context, kept: LabRecord, fault: Fault) -> None:
    """Take a partition's rules away; raises ProviderError when they stay."""
    bridge = _bridge(kept, fault.network)
    what = f"ending the partition of {fault.network}"
    # As many as there may be: of a list that can't be read nobody knows.
    for argv in ebtables.heal(bridge, len(fault.groups) or len(kept.nodes)):
        context.runner.run(Command(argv=as_root(argv), what=what, ok_codes=_ANY_CODE))
    if bridge in _chains(context, what):
        hint = f"ebtables -L {bridge}, then ./invoke lab.fault {kept.name} --undo again"
        raise ProviderError(f"the rules that part {fault.network} are still there", hint=hint)


def _chains(context: Context, what: str) -> frozenset[str]:
    """The host's chains; raises LabError where nobody may look: what can't be seen isn't gone."""
    try:
        return ebtables.chains(
            context.runner.run(Command(argv=as_root(ebtables.LOOK), what=what)).stdout
        )
    except ToolError as error:
        hint = (
            f"`sudo -n ebtables -L` has to work here; ebtables is in the package {ebtables.PACKAGE}"
        )
        raise ProviderError(error.message, hint=hint) from error
