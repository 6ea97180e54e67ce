"""Checks of layer `pairs`: each node reaches each other on every network they share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from stacklab.checks.family import Facts, Family
from stacklab.checks.impairments import ways
from stacklab.checks.pairs import shell as script
from stacklab.checks.pairs import verdicts
from stacklab.checks.result import Check, CheckKind, CheckResult, Layer
from stacklab.installers import name_nic
from stacklab.model.lab import NIC, Lab, Node
from stacklab.nodes.protocol import Answer, Part
from stacklab.tools.network import fping

_Job = TypeVar("_Job")


def expected(lab: Lab) -> Iterator[Check]:
    """See Family.expected; nothing is promised of ways that are declared to lose most."""
    promises = _Promises(lab)
    for node in lab.nodes:
        # The order of reports: names, then the paths of each network, then the logins.
        yield from promises.of_names(node)
        for nic in node.nics:
            yield from promises.of_paths(node, nic)
        yield from promises.of_logins(node)


class _Promises:
    """The checks between nodes; what all of them share is looked up once."""

    def __init__(self, lab: Lab) -> None:
        self._nodes = lab.nodes
        # One string per address, however many checks name it: a large lab has 400,000 of them.
        self._addresses: dict[tuple[str, str], str] = {}
        for node in lab.nodes:
            for nic in node.nics:
                self._addresses[node.name, nic.network] = str(nic.address.ip)
        self._members = {network.name: lab.members(network.name) for network in lab.networks}
        self._name_nics = {node.name: name_nic(lab, node) for node in lab.nodes}

    def of_names(self, node: Node) -> Iterator[Check]:
        """Yield the checks that the node knows its peers by name."""
        for peer, theirs, nic in self._peers_by_name(node):
            yield self._check(CheckKind.NAME, node, nic, peer, theirs.network)

    def of_paths(self, node: Node, nic: NIC) -> Iterator[Check]:
        """Yield the checks of the paths from one NIC to all other nodes on its network."""
        for peer, theirs in self._members[nic.network]:
            if peer is node or ways.is_cut(nic.impairment, theirs.impairment):
                continue
            for kind in (CheckKind.PING, CheckKind.MTU, CheckKind.SOURCE, CheckKind.PORT):
                yield self._check(kind, node, nic, peer, nic.network)

    def of_logins(self, node: Node) -> Iterator[Check]:
        """Yield the checks that the node can log in on its peers."""
        for peer, theirs, nic in self._peers_by_name(node):
            if not ways.is_cut(nic.impairment, theirs.impairment):
                yield self._check(CheckKind.SSH, node, nic, peer, theirs.network)

    def _peers_by_name(self, node: Node) -> Iterator[tuple[Node, NIC, NIC]]:
        """Yield each peer with the NIC that its name stands for, and the node's NIC to reach it."""
        for peer in self._nodes:
            if peer is node:
                continue
            theirs = self._name_nics[peer.name]
            # The node may not be on that network: then its packets leave by the first NIC.
            nic = node.nic_on(theirs.network) or node.access
            yield peer, theirs, nic

    def _check(self, kind: CheckKind, node: Node, nic: NIC, peer: Node, network: str) -> Check:
        """Return a check of a path, or of a name that stands for the peer's address there."""
        return Check(
            kind=kind,
            node=node.name,
            target=peer.name,
            network=network,
            address=self._addresses[peer.name, network],
            device=nic.device,
        )


def parts(lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> Iterator[Part]:
    """See Family.parts."""
    by_kind: dict[CheckKind, list[Check]] = {kind: [] for kind in CheckKind}
    for check in checks:
        by_kind[check.kind].append(check)
    pings, sizes = by_kind[CheckKind.PING], by_kind[CheckKind.MTU]
    if pings or sizes:
        yield _ping_part(lab, pings, sizes)
    sources = by_kind[CheckKind.SOURCE]
    if sources:
        yield script.source_part(_unique_addresses(sources))
    names = by_kind[CheckKind.NAME]
    if names:
        numbers = verdicts.numbers(lab)
        peers = [(numbers[check.target], check.target, check.address) for check in names]
        yield script.name_part(peers)
    logins, ports = by_kind[CheckKind.SSH], by_kind[CheckKind.PORT]
    if logins or ports:
        yield _login_part(lab, node, logins, ports)


def _ping_part(lab: Lab, pings: Sequence[Check], sizes: Sequence[Check]) -> Part:
    """Return the part that pings each address, and then by the sizes that must pass whole."""
    by_size: dict[int, list[str]] = {}
    for check in sizes:
        mtu = lab.network(check.network).mtu
        by_size.setdefault(mtu, []).append(check.address)
    addresses = _unique_addresses([*pings, *sizes])
    return script.ping_part(addresses, by_size, ways.slower_ms(lab), _ping_count(lab))


def _login_part(lab: Lab, node: Node, logins: Sequence[Check], ports: Sequence[Check]) -> Part:
    """Return the part that logs in on peers, and asks the sshds at all other addresses."""
    peers = {check.target: check.address for check in logins}
    # A login proves the port as well; a second key exchange takes an emulated node half a second.
    other_ports = [check for check in ports if peers.get(check.target) != check.address]
    # Nodes that start together begin with different peers, so that no sshd has to serve all.
    turn = lab.nodes.index(node)
    return script.login_part(
        peers=_rotated([*peers.items()], turn),
        addresses=_rotated(_unique_addresses(other_ports), turn),
        slower_ms=ways.slower_ms(lab),
        pings=_ping_count(lab),
    )


def _ping_count(lab: Lab) -> int:
    """Return how many pings to send so that one comes back, whatever loss is declared."""
    return ways.tries(lab, fping.COUNT)


def _rotated(jobs: Sequence[_Job], turn: int) -> list[_Job]:
    """Return the jobs in the same order, beginning with another one at each turn."""
    if not jobs:
        return []
    start = turn % len(jobs)
    return [*jobs[start:], *jobs[:start]]


def _unique_addresses(checks: Iterable[Check]) -> list[str]:
    """Return the addresses of checks, each once, in their order."""
    return list(dict.fromkeys(check.address for check in checks))


def judge(lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts) -> Iterator[CheckResult]:
    """See Family.judge."""
    yield from verdicts.judge(lab, checks, answer)


FAMILY = Family(layers=(Layer.PAIRS,), expected=expected, parts=parts, judge=judge)
