"""Checks of layer `impairments`: declared delay, loss and rate are there, measured by the sender.

An impairment is a NIC's, so on a network of many each node tries its next few
neighbours: every NIC is measured both ways, and the work stays linear. Where a
number of pings could not tell the declared from nothing, `tc` on the node decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stacklab.checks.family import Facts, Family
from stacklab.checks.impairments import measuring, verdicts
from stacklab.checks.impairments.measuring import MOST_PEERS, loss_of
from stacklab.checks.result import Check, CheckKind, CheckResult, Layer, checks_of_kind
from stacklab.model.lab import NIC, Impairment, Lab, Node
from stacklab.nodes.protocol import Answer, Part, Phase
from stacklab.tools.network import tc

_SURVIVORS_MIN = 0.05  # with fewer replies than that, a round trip can't be told


def expected(lab: Lab) -> Iterator[Check]:
    """See Family.expected."""
    for network in lab.networks:
        members = lab.members(network.name)
        if not any(nic.impairment for _, nic in members):
            continue
        for place, (node, nic) in enumerate(members):
            peers = _next_peers(members, place)
            yield from _checks_of_nic(node, nic, peers)


def _checks_of_nic(node: Node, nic: NIC, peers: Sequence[tuple[Node, NIC]]) -> Iterator[Check]:
    """Yield what is measured between a NIC and its next peers."""
    for peer, theirs in peers:
        for kind in _measured_kinds(nic.impairment, theirs.impairment):
            yield _impairment_check(kind, node, nic, peer, theirs)
    if peers and nic.impairment.rate_kbit and nic.impairment.loss_percent < 100:
        # Once: what leaves a NIC does not depend on where it goes.
        peer, theirs = peers[0]
        yield _impairment_check(CheckKind.RATE, node, nic, peer, theirs)


def _next_peers(members: Sequence[tuple[Node, NIC]], place: int) -> list[tuple[Node, NIC]]:
    """Return the members that come after one, as in a ring: each then has as many before it."""
    ring = [*members[place + 1 :], *members[:place]]
    return ring[:MOST_PEERS]


def _measured_kinds(ours: Impairment, theirs: Impairment) -> list[CheckKind]:
    """Return the kinds of check between two NICs: what neither declares is not measured."""
    kinds: list[CheckKind] = []
    lost = loss_of(ours, theirs)
    has_delay = ours.delay_ms or theirs.delay_ms
    if has_delay and 1 - lost >= _SURVIVORS_MIN:
        kinds.append(CheckKind.DELAY)
    if lost:
        kinds.append(CheckKind.LOSS)
    return kinds


def _impairment_check(kind: CheckKind, node: Node, nic: NIC, peer: Node, theirs: NIC) -> Check:
    """Return a check from one NIC to another on its network."""
    return Check(
        kind=kind,
        node=node.name,
        target=peer.name,
        network=nic.network,
        address=str(theirs.address.ip),
        device=nic.device,
    )


def parts(lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> Iterator[Part]:
    """See Family.parts."""
    if not checks:
        return
    yield Part(tag=measuring.SHOW, shell=tc.SHOW, phase=Phase.FACTS)
    rates = checks_of_kind(checks, CheckKind.RATE)
    pings = [check for check in checks if check.kind is not CheckKind.RATE]
    if pings:
        yield measuring.ping_part(lab, pings)
    if rates:
        yield measuring.rate_part(lab, rates)


def judge(lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts) -> Iterator[CheckResult]:
    """See Family.judge."""
    yield from verdicts.judge(lab, checks, answer)


FAMILY = Family(layers=(Layer.IMPAIRMENTS,), expected=expected, parts=parts, judge=judge)
