"""The search for causes: nodes at both ends and this host are looked at again, within seconds.

A cause is given only where it is certain, and it is equal for all that it explains, so
that one cause stands once in a report.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from stacklab.checks.expect import Fault, Outage
from stacklab.checks.explain import blame, site
from stacklab.checks.explain.site import Observation
from stacklab.checks.kinds import Carrier, ExplainedBy
from stacklab.checks.result import HOST, CheckKind, CheckResult, CheckStatus, Reason
from stacklab.model.cause import Cause
from stacklab.model.lab import NIC, Lab, Node
from stacklab.paths import LabPaths
from stacklab.process import Conversing
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
    explainer = _Explainer(site.look(lab, paths, runner, bad, host), outage)
    return tuple(result if result.is_passed else explainer.explained(result) for result in results)


class _Explainer:
    """Explains results by what was seen of their nodes."""

    def __init__(self, seen: Observation, outage: Outage) -> None:
        self._seen = seen
        self._outage = outage

    def explained(self, result: CheckResult) -> CheckResult:
        """Return the result with what was found out."""
        check = result.check
        is_of_node = check.node != HOST and check.node in self._seen.nodes
        if not is_of_node or result.reason is Reason.STILL_WORKS:
            return result
        explained_by = check.kind.traits.explained_by
        if explained_by is ExplainedBy.LOGIN:
            return self._explain_login(result)
        if explained_by is ExplainedBy.PACKETS and check.node not in self._seen.unreached:
            return self._explain_packets(result)
        cause = next(filter(None, self._causes_of_node(result)), None)
        return result.explained(cause, [])

    def _causes_of_node(self, result: CheckResult) -> Iterator[Cause | None]:
        """Yield what may be to blame for a check of one node, the surest first."""
        check = result.check
        view = self._seen.views.get(check.node)
        yield blame.fault_cause(self._outage, check)
        for node, nic in self._needed_nics(result):
            yield blame.nic_cause(self._seen, self._outage, node, nic)
        if check.kind is CheckKind.NIC and result.reason is Reason.WRONG_MTU:
            yield blame.mtu_cause(self._seen, self._seen.nodes[check.node], self._seen.nic(check))
        if view and check.node in self._seen.unreached:
            yield evidence.cause(view)
        if view and check.kind is CheckKind.STATE:
            yield evidence.state_cause(view)

    def _needed_nics(self, result: CheckResult) -> Iterator[tuple[Node, NIC | None]]:
        """Yield the NICs without which a check of a node comes to nothing."""
        check = result.check
        node = self._seen.nodes[check.node]
        if check.kind is CheckKind.ROUTES:
            # Only a missing route is the NIC's doing; a wrong one is not.
            if result.reason is Reason.NO_ROUTE:
                yield node, next((nic for nic in node.nics if nic.device == result.about), None)
        elif check.kind is CheckKind.NO_TRANSIT and result.status is not CheckStatus.ERROR:
            return  # packets went out
        elif check.kind.traits.explained_by is ExplainedBy.OWN_NIC:
            yield node, self._seen.nic(check)
        elif check.kind.traits.explained_by is ExplainedBy.BOTH_NICS:
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
            cause = blame.fault_cause(self._outage, check) or evidence.cause(view)
        lines = evidence.lines(view)
        return result.explained(cause, lines)

    def _explain_packets(self, result: CheckResult) -> CheckResult:
        """Explain a check of something that went from a node to another on a network."""
        check = result.check
        source, target = self._seen.nodes[check.node], self._seen.nodes.get(check.target)
        mine = self._seen.nic(check)
        theirs = target.nic_on(check.network) if target else None
        if target is None or mine is None or theirs is None:
            return result
        way = blame.Way(check=check, source=source, mine=mine, target=target, theirs=theirs)
        cause = None
        if result.reason not in _OTHER_TROUBLE:
            candidates = blame.packet_causes(self._seen, self._outage, way, result.reason)
            cause = next(filter(None, candidates), None)
        lines = [
            *self._end_clues(source, mine),
            *self._way_clues(source, theirs),
            *self._end_clues(target, theirs),
        ]
        if check.kind.traits.carrier is Carrier.TCP:
            lines += self._sshd_clues(target)
        return result.explained(cause, lines)

    def _end_clues(self, node: Node, nic: NIC) -> Iterator[str]:
        """Yield one end of a failed check: the NIC in the node's words, then its tap."""
        scene, view = self._seen.scene(node.name), self._seen.views.get(node.name)
        if scene.is_seen:
            for name in dict.fromkeys((nic.device, scene.holder(nic))):
                device = scene.devices.get(name)
                state = "missing"
                if device:
                    addresses = ", ".join(device.addresses) or "no address"
                    state = f"{device.state}, {addresses}"
                yield f"{node.name}: {name} is {state}"
        at = view.on(nic.network) if view else None
        if at:
            yield f"{node.name}, from the host: {evidence.nic_line(at)}"

    def _way_clues(self, source: Node, theirs: NIC) -> Iterator[str]:
        """Yield what the sender knows of the way: its route, and the answer to ARP."""
        scene, address = self._seen.scene(source.name), str(theirs.address.ip)
        if scene.is_seen:
            mac, state = scene.neighbours.get(address, ("", "not asked for"))
            yield f"{source.name}: route: {scene.routes.get(address, '-')}"
            yield f"{source.name}: ARP for {address}: {mac or 'nobody answers'} ({state.lower()})"

    def _sshd_clues(self, target: Node) -> Iterator[str]:
        """Yield whether anything listens on TCP 22, and what sshd wrote last."""
        scene = self._seen.scene(target.name)
        if scene.listens is not None:
            listener = "something" if scene.listens else "nothing"
            yield f"{target.name}: TCP 22: {listener} listens"
        yield from (f"{target.name}: sshd: {line}" for line in scene.journal)
