"""Bring nodes back after a fault: wait until they answer, and set right what the host can't."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass

from stacklab.checks.expect import Fault, FaultKind, Outage
from stacklab.errors import CommandFailed, NodeNotReady
from stacklab.foreign import printable
from stacklab.model.lab import Lab, Node, NodeKind
from stacklab.model.state import NodeState
from stacklab.nodes import protocol, session
from stacklab.nodes.protocol import Part
from stacklab.paths import LabPaths
from stacklab.providers.contract import FaultMaker
from stacklab.record import LabRecord
from stacklab.workflow.context import Context
from stacklab.workflow.nodes import wait
from stacklab.workflow.nodes.clocks import set_clocks
from stacklab.workflow.nodes.impair import impair
from stacklab.workflow.nodes.wait import Waiter

_POLL_S = 0.25
# For sshd to answer, and for a NIC to be configured, on a node that runs.
_ON_NODE_S = 30.0
# A node gets new taps by these, when they are made and when they are undone.
CHANGE_TAPS = (FaultKind.POWER_OFF, FaultKind.UNPLUG)
# Once the NIC is back. networkd configures it by itself; ifupdown and ifcfg have to be told.
_TAKE_UP = """\
n=0
until [ -e /sys/class/net/{device} ] || [ $n -ge 40 ]; do n=$((n + 1)); sleep 0.25; done
[ -d /run/systemd/netif/links ] && exit 0
PATH=$PATH:/usr/sbin:/sbin
ifdown {device} >/dev/null 2>&1
ifup {device} >&2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settler:
    """Sets right on a lab's nodes what faults left there."""

    context: Context
    lab: Lab
    paths: LabPaths
    record: LabRecord
    maker: FaultMaker

    def settle(self, undone: Sequence[Fault], remaining: Sequence[Fault]) -> None:
        """Wait for nodes that were cut off, and set right on them what no host can.

        Raises NodeNotReady.
        """
        nodes = self._reachable_again(undone, remaining)
        names = {node.name for node in nodes}
        settling = [fault for fault in undone if fault.node in names]
        self._wait_until_ready(nodes, settling)
        for fault in settling:
            node = self.lab.node(fault.node)
            # The access NIC is up already: the node answered by it. A container's NICs have been
            # configured from outside.
            is_up = fault.device == node.access.device or node.kind is NodeKind.CONTAINER
            if fault.kind is FaultKind.UNPLUG and not is_up:
                self._take_up_nic(fault)
        # The clock of a node that stood still, or booted, is late.
        # A container's is the host's.
        stopped = {fault.node for fault in settling if fault.stops_node}
        late = [node for node in self.lab.of_kind(NodeKind.VM) if node.name in stopped]
        set_clocks(self.context.runner, self.paths, late)
        # netem lives in the kernel's device, and went away with it.
        unimpaired = {fault.node for fault in settling if fault.kind in CHANGE_TAPS}
        if unimpaired:
            impair(self.context, self.lab, self.paths, unimpaired)

    def _reachable_again(self, undone: Sequence[Fault], remaining: Sequence[Fault]) -> list[Node]:
        """Return the nodes that had one of these faults, run, and are not cut off by others."""
        # The node of a partition is "", which no node is called.
        concerned = {fault.node for fault in undone}
        outage = Outage(self.lab, remaining)
        nodes = []
        for node in self.lab.nodes:
            if node.name not in concerned or outage.why_unreached(node.name):
                continue
            if self.maker.state(node.name) is NodeState.RUNNING:
                nodes.append(node)
        return nodes

    def _wait_until_ready(self, nodes: Sequence[Node], settling: Sequence[Fault]) -> None:
        """Wait for nodes that boot as for `lab.up`'s, and briefly for all others."""
        booted = {fault.node for fault in settling if fault.kind is FaultKind.POWER_OFF}
        provider = self.context.provider(self.record)
        waiter = Waiter(self.lab, self.paths, self.record, provider, self.context.progress)
        waiter.start([node for node in nodes if node.name in booted])
        waiter.finish()
        for node in nodes:
            self._wait_for_answer(node)

    def _wait_for_answer(self, node: Node) -> None:
        """Wait until a node that never stopped answers again; it is never reset for that."""
        address = str(node.access.address.ip)
        deadline = time.monotonic() + _ON_NODE_S
        while True:
            is_ready, reason = wait.banner(address)
            if is_ready:
                return
            if time.monotonic() > deadline:
                raise NodeNotReady(
                    f"{node.name} does not answer on {address} {_ON_NODE_S:.0f} s after its fault "
                    f"was undone ({reason})",
                    hint=f"./invoke lab.console {self.lab.name} --node {node.name}",
                )
            time.sleep(_POLL_S)

    def _take_up_nic(self, fault: Fault) -> None:
        """Make a node configure the NIC that it has again."""
        script = _TAKE_UP.format(device=shlex.quote(fault.device))
        part = Part(
            tag="faults.take-up",
            shell=protocol.as_root(script),
            limit_s=_ON_NODE_S,
        )
        reply = session.ask(self.context.runner, self.paths, fault.node, [part], limit_s=_ON_NODE_S)
        taken = reply.answer.of(part.tag)
        if taken.code == 0:
            return
        why = reply.missing(part.tag) or taken.text or f"ended with {taken.code}"
        repair = f"sudo ifup {fault.device}"
        raise CommandFailed(
            f"{fault.node} has {fault.device} again, but can't configure it: {printable(why)}",
            hint=f"./invoke lab.exec {self.lab.name} --node {fault.node} -- {repair}",
        )
