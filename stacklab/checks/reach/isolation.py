"""The targets of layer `isolation`: places that a node must not reach through the host.

A silent target proves little: it must be known to answer somebody else. That somebody is
the host, which tries the candidates beforehand (see `checks.host`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stacklab.checks.family import Facts
from stacklab.checks.reach import outside_places
from stacklab.checks.result import Check, CheckKind
from stacklab.model.lab import NIC, Lab, Network, NetworkMode, Node

OUTSIDE = "the outside"  # a goal beside the lab's other networks
_CANDIDATES = 3  # nodes per network whose sshd the host tries: the first that answers is the target


@dataclass(frozen=True, slots=True)
class Target:
    """Something that answers the host, and that a node must not reach through it."""

    goal: str  # a network's name, or OUTSIDE
    address: str
    port: str
    title: str

    def word(self, nic: NIC) -> str:
        """Return it as the node gets it, and writes it again."""
        return f"{nic.address.ip},{self.address},{self.port}"


def candidates(lab: Lab) -> tuple[str, ...]:
    """List the places whose sshd the host has to try.

    For each isolated network these are some nodes of each other network.
    """
    isolated = [network for network in lab.networks if network.mode is NetworkMode.ISOLATED]
    places: dict[str, None] = {}  # a set that keeps its order
    for network in isolated:
        for goal in _networks_to_try(lab, network.name):
            members = _candidates_on(lab, network.name, goal)
            for _, nic in members[:_CANDIDATES]:
                places[f"{nic.address.ip}:22"] = None
    return tuple(places)


def _networks_to_try(lab: Lab, network: str) -> list[Network]:
    """List the networks that the host could forward to from `network`: it must be on them."""
    return [goal for goal in lab.networks if goal.name != network and goal.has_host]


def _candidates_on(lab: Lab, network: str, goal: Network) -> list[tuple[Node, NIC]]:
    """List who is on the goal, first the nodes that are not on `network` as well.

    The answer of such a node has only one way back.
    """

    def is_on_both(member: tuple[Node, NIC]) -> bool:
        node, _ = member
        return node.nic_on(network) is not None

    # Sorting keeps the lab's order among equals, and False comes before True.
    return sorted(lab.members(goal.name), key=is_on_both)


def targets(lab: Lab, node: Node, nic: NIC, facts: Facts) -> tuple[list[Target], list[str]]:
    """Choose what to try from that NIC, and list the goals of which nothing answers the host."""
    chosen: list[Target] = []
    untried: list[str] = []
    for goal in _networks_to_try(lab, nic.network):
        members = _candidates_on(lab, nic.network, goal)
        others = [(peer, peer_nic) for peer, peer_nic in members if peer.name != node.name]
        target = _first_open(goal, others, facts)
        if target is not None:
            chosen.append(target)
        elif others:  # a goal that nobody else is on is not worth a warning
            untried.append(goal.name)
    controls = list(outside_places.controls(lab, facts))
    if controls:
        place = controls[0]
        address, _, port = place.rpartition(":")
        chosen.append(Target(OUTSIDE, address, port, title=f"{place} outside"))
    else:
        untried.append(OUTSIDE)
    return chosen, untried


def _first_open(goal: Network, members: Sequence[tuple[Node, NIC]], facts: Facts) -> Target | None:
    """Return the first of the goal's candidates that answers the host."""
    for peer, nic in members[:_CANDIDATES]:
        address = str(nic.address.ip)
        tried = facts.tried.get(f"{address}:22")
        if tried is not None and tried.is_open:
            title = f"{peer.name} {address}:22 on {goal.name}"
            return Target(goal.name, address, port="22", title=title)
    return None


def nic_of(lab: Lab, check: Check) -> NIC:
    """Return the NIC of the check's node on the check's network."""
    node = lab.node(check.node)
    return next(nic for nic in node.nics if nic.network == check.network)


def addresses(lab: Lab, network: str) -> dict[str, str]:
    """Return the addresses of all nodes on a network, each with its node's name."""
    return {str(nic.address.ip): node.name for node, nic in lab.members(network)}


def witnesses(lab: Lab, check: Check, facts: Facts) -> frozenset[str]:
    """Return the nodes of which one has to answer the host before the check proves anything.

    Empty where one does.
    """
    networks: list[str] = []  # those of which nobody answers the host
    if check.kind is CheckKind.SEPARATE:
        is_heard = facts.alive & addresses(lab, check.network).keys()
        if lab.network(check.network).has_host and not is_heard:
            networks.append(check.network)
    elif check.kind is CheckKind.NO_TRANSIT:
        # No node is on OUTSIDE, so that goal adds nobody.
        _, networks = targets(lab, lab.node(check.node), nic_of(lab, check), facts)
    names = {peer.name for network in networks for peer, _ in lab.members(network)}
    return frozenset(names - {check.node})
