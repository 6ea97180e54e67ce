"""The search for causes: nodes at both ends and this host are looked at again, within seconds.

A cause is given only where it is certain, and it is equal for all that it explains, so
that one cause stands once in a report.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from stacklab.checks.expect import Fault, Outage
from stacklab.checks.explain import blame, site
from stacklab.checks.explain.scene import Scene
from stacklab.checks.explain.site import Observation
from stacklab.checks.kinds import ExplainedBy
from stacklab.checks.result import HOST, Check, CheckKind, CheckResult, CheckStatus, Reason
from stacklab.model.cause import Cause
from stacklab.model.lab import NIC, Lab, Node
from stacklab.nodes.holder import nic_by_device
from stacklab.paths import LabPaths
from stacklab.process.command import Conversing
from stacklab.providers import evidence
from stacklab.providers.contract import Looker

# The other end answered, or the node could not even try: no network is to blame.
_OTHER_TROUBLE = (
    Reason.HOST_KEY,
    Reason.DENIED,
    Reason.NAME_UNKNOWN,
    Reason.PROGRAM_MISSING,
)


def explain(
    lab: Lab,
    paths: LabPaths,
    runner: Conversing,
    results: Sequence[CheckResult],
    host: Looker | None,
    faults: Iterable[Fault] = (),
) -> tuple[CheckResult, ...]:
    """Return the same results; failures have clues, and their cause where it is certain.

    `host` looks at the host's side; without it the nodes alone are asked. `faults` are
    those that lab.fault has made, which need no other explanation. Takes up to
    10 s, and no time where all passed; never raises.
    """
    bad = [result for result in results if not result.is_passed]
    if not bad:
        return tuple(results)
    outage = Outage(lab, faults)
    seen = site.look(lab, paths, runner, bad, host)
    explainer = _Explainer(seen, outage)
    return tuple(map(explainer.explain_result, results))


class _Explainer:
    """Explains results by what was seen of their nodes."""

    def __init__(self, seen: Observation, outage: Outage) -> None:
        self._seen = seen
        self._outage = outage

    def explain_result(self, result: CheckResult) -> CheckResult:
        """Return the result with what was found out; one that passed stays as it is."""
        # Where a fault should have cut something, nothing is broken that could be looked for.
        if result.is_passed or result.reason is Reason.STILL_WORKS:
            return result
        check = result.check
        if check.node == HOST or check.node not in self._seen.nodes:
            return result
        explained_by = check.kind.traits.explained_by
        if explained_by is ExplainedBy.LOGIN:
            return self._explain_login(result)
        # Where the host lost the node itself, no packet was sent: that is the node's trouble.
        if explained_by is ExplainedBy.PACKETS and check.node not in self._seen.unreached:
            return self._explain_packets(result)
        cause = _first_certain(self._causes_of_node(result))
        return result.explained(cause, [])

    def _causes_of_node(self, result: CheckResult) -> Iterator[Cause | None]:
        """Yield what may be to blame for a check of one node, the surest first."""
        check = result.check
        yield blame.fault_cause(self._outage, check)
        for node, nic in self._needed_nics(result):
            yield blame.nic_cause(self._seen, self._outage, node, nic)
        if check.kind is CheckKind.NIC and result.reason is Reason.WRONG_MTU:
            yield blame.mtu_cause(self._seen, self._seen.nodes[check.node], self._seen.nic(check))
        view = self._seen.views.get(check.node)
        if view is None:
            return
        if check.node in self._seen.unreached:
            yield evidence.cause(view)
        # Of a node that went off while it was asked, the rest has no answer.
        if check.kind is CheckKind.STATE or result.status is CheckStatus.ERROR:
            yield evidence.state_cause(view)

    def _needed_nics(self, result: CheckResult) -> Iterator[tuple[Node, NIC | None]]:
        """Yield the NICs without which a check of a node comes to nothing."""
        check = result.check
        node = self._seen.nodes[check.node]
        explained_by = check.kind.traits.explained_by
        if check.kind is CheckKind.ROUTES:
            # Only a missing route is the NIC's doing; a wrong one is not.
            if result.reason is Reason.NO_ROUTE:
                yield node, nic_by_device(node, result.about)
        elif check.kind is CheckKind.NO_TRANSIT and result.status is not CheckStatus.ERROR:
            return  # packets went out
        elif explained_by is ExplainedBy.OWN_NIC:
            yield node, self._seen.nic(check)
        elif explained_by is ExplainedBy.BOTH_NICS:
            yield node, self._seen.nic(check)
            target = self._seen.nodes.get(check.target)
            if target:
                yield target, target.nic_on(check.network)

    def _explain_login(self, result: CheckResult) -> CheckResult:
        """Explain a login by what this host sees of the node."""
        check = result.check
        view = self._seen.views.get(check.node)
        if view is None:
            return result
        cause = None
        if result.reason not in _OTHER_TROUBLE:
            # A fault first: what the evidence shows is most likely its work.
            cause = blame.fault_cause(self._outage, check) or evidence.cause(view)
        return result.explained(cause, evidence.lines(view))

    def _explain_packets(self, result: CheckResult) -> CheckResult:
        """Explain a check of something that went from a node to another on a network."""
        way = self._way_of(result.check)
        if way is None:
            return result
        cause = None
        if result.reason not in _OTHER_TROUBLE:
            cause = _first_certain(
                blame.packet_causes(self._seen, self._outage, way, result.reason)
            )
        lines = [
            *self._end_clues(way.source, way.mine),
            *self._way_clues(way),
            *self._end_clues(way.target, way.theirs),
        ]
        if way.is_tcp:
            lines += self._sshd_clues(way.target)
        return result.explained(cause, lines)

    def _way_of(self, check: Check) -> blame.Way | None:
        """Return a check's way; None for a target outside the lab, or on none of its networks."""
        target = self._seen.nodes.get(check.target)
        if target is None:
            return None
        mine = self._seen.nic(check)
        theirs = target.nic_on(check.network)
        if mine is None or theirs is None:
            return None
        return blame.Way(
            check=check,
            source=self._seen.nodes[check.node],
            mine=mine,
            target=target,
            theirs=theirs,
        )

    def _end_clues(self, node: Node, nic: NIC) -> Iterator[str]:
        """Yield one end of a failed check: the NIC in the node's words, then its tap."""
        scene = self._seen.scene(node.name)
        if scene.is_seen:
            # Both, and once where they are the same: a cloud's bridge may be up without its NIC.
            for name in dict.fromkeys((nic.device, scene.holder(nic))):
                yield f"{node.name}: {name} is {_device_text(scene, name)}"
        view = self._seen.views.get(node.name)
        nic_on_host = view.on(nic.network) if view else None
        if nic_on_host:
            yield f"{node.name}, from the host: {evidence.nic_line(nic_on_host)}"

    def _way_clues(self, way: blame.Way) -> Iterator[str]:
        """Yield what the sender knows of the way: its route, and the answer to ARP."""
        name, address = way.source.name, way.address
        scene = self._seen.scene(name)
        if not scene.is_seen:
            return
        yield f"{name}: route: {scene.routes.get(address, '-')}"
        mac, state = scene.neighbours.get(address, ("", "not asked for"))
        yield f"{name}: ARP for {address}: {mac or 'nobody answers'} ({state.lower()})"

    def _sshd_clues(self, target: Node) -> Iterator[str]:
        """Yield whether anything listens on TCP 22, and what sshd wrote last."""
        scene = self._seen.scene(target.name)
        if scene.listens is not None:
            listener = "something" if scene.listens else "nothing"
            yield f"{target.name}: TCP 22: {listener} listens"
        for line in scene.journal:
            yield f"{target.name}: sshd: {line}"


def _first_certain(causes: Iterator[Cause | None]) -> Cause | None:
    """Return the first cause that is certain, and search no further."""
    for cause in causes:
        if cause is not None:
            return cause
    return None


def _device_text(scene: Scene, name: str) -> str:
    """Say of a node's device what it does, and its addresses: `up, 10.0.0.2/24`."""
    device = scene.devices.get(name)
    if device is None:
        return "missing"
    addresses = ", ".join(device.addresses) or "no address"
    return f"{device.state}, {addresses}"
