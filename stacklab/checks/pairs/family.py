"""Checks of layer `pairs`: each node reaches each other on every network they share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from stacklab.checks.family import Facts, Family
from stacklab.checks.impairments import ways
from stacklab.checks.pairs import shell as script
from stacklab.checks.pairs import verdicts
from stacklab.checks.result import Check, CheckKind, CheckResult, Layer
from stacklab.installers.facts import name_nic
from stacklab.model.lab import NIC, Lab, Node
from stacklab.nodes.protocol import Answer, Part
from stacklab.tools import fping

_Job = TypeVar("_Job")


def expected(lab: Lab) -> Iterator[Check]:
    """See Family.expected; nothing is promised of ways that are declared to lose most."""
    # One string per address, however many checks name it: a large lab has 400,000 of them.
    addresses = {
        (node.name, nic.network): str(nic.address.ip) for node in lab.nodes for nic in node.nics
    }
    members = {network.name: lab.members(network.name) for network in lab.networks}
    name_nics = {node.name: name_nic(lab, node) for node in lab.nodes}
    for node in lab.nodes:
        # A name stands for the peer's address on one network, which the node may not be on.
        by_name = []
        for peer in lab.nodes:
            if peer is not node:
                theirs = name_nics[peer.name]
                by_name.append((peer, theirs, node.nic_on(theirs.network) or node.access))
        for peer, theirs, nic in by_name:
            yield _check(CheckKind.NAME, node, nic, peer.name, theirs.network, addresses)
        for nic in node.nics:
            for peer, theirs in members[nic.network]:
                if peer is node or ways.is_cut(nic.impairment, theirs.impairment):
                    continue
                for kind in (CheckKind.PING, CheckKind.MTU, CheckKind.SOURCE, CheckKind.PORT):
                    yield _check(kind, node, nic, peer.name, nic.network, addresses)
        for peer, theirs, nic in by_name:
            if not ways.is_cut(nic.impairment, theirs.impairment):
                yield _check(CheckKind.SSH, node, nic, peer.name, theirs.network, addresses)


def _check(
    kind: CheckKind,
    node: Node,
    nic: NIC,
    peer: str,
    network: str,
    addresses: Mapping[tuple[str, str], str],
) -> Check:
    """Return a check of a path, or of a name that stands for the peer's address there."""
    return Check(
        kind=kind,
        node=node.name,
        target=peer,
        network=network,
        address=addresses[peer, network],
        device=nic.device,
    )


def parts(lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> Iterator[Part]:
    """See Family.parts."""
    of: dict[CheckKind, list[Check]] = {kind: [] for kind in CheckKind}
    for check in checks:
        of[check.kind].append(check)
    # Nodes that start together begin with different peers, so that no sshd has to serve all.
    turn = [each.name for each in lab.nodes].index(node.name)
    slower_ms, count = ways.slower_ms(lab), ways.tries(lab, fping.COUNT)
    addresses = _unique(
        check.address for kind in (CheckKind.PING, CheckKind.MTU) for check in of[kind]
    )
    if addresses:
        sizes: dict[int, list[str]] = {}
        for check in of[CheckKind.MTU]:
            sizes.setdefault(lab.network(check.network).mtu, []).append(check.address)
        yield script.pings(addresses, sizes, slower_ms, count)
    if of[CheckKind.SOURCE]:
        yield script.sources(_unique(check.address for check in of[CheckKind.SOURCE]))
    if of[CheckKind.NAME]:
        numbers = verdicts.numbers(lab)
        yield script.names(
            [(numbers[check.target], check.target, check.address) for check in of[CheckKind.NAME]]
        )
    peers = {check.target: check.address for check in of[CheckKind.SSH]}
    # A login proves the port as well; a second key exchange takes an emulated node half a second.
    others = _unique(c.address for c in of[CheckKind.PORT] if peers.get(c.target) != c.address)
    if peers or others:
        yield script.logins(
            _rotated([*peers.items()], turn), _rotated(others, turn), slower_ms, count
        )


def _rotated(words: Sequence[_Job], turn: int) -> list[_Job]:
    start = turn % (len(words) or 1)
    return [*words[start:], *words[:start]]


def _unique(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))


def judge(lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts) -> Iterator[CheckResult]:
    """See Family.judge."""
    yield from verdicts.judge(lab, checks, answer)


FAMILY = Family(layers=(Layer.PAIRS,), expected=expected, parts=parts, judge=judge)
