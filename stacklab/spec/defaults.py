"""Defaults of a spec: what it means where it leaves something out."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import NamedTuple

from stacklab.model.lab import Impairment, NodeKind, Size
from stacklab.spec.form.schema import LabSpec, NetworkSpec, NicSpec, NodeSpec
from stacklab.spec.form.values import Number

DEFAULT_MEMORY = Size.parse("1GiB")


class Member(NamedTuple):
    """A node by its final name; `offset` is its position, from 0, among the nodes of its entry."""

    name: str
    key: str
    offset: int
    spec: NodeSpec


def members(spec: LabSpec) -> tuple[Member, ...]:
    """Return every node by its final name: a `compute` with count 2 is compute1 and compute2."""
    nodes: list[Member] = []
    for key, node in spec.nodes.items():
        if node.count is None:
            nodes.append(Member(name=key, key=key, offset=0, spec=node))
            continue
        # People count nodes from 1, addresses are added up from 0.
        for offset in range(node.count):
            nodes.append(Member(name=f"{key}{offset + 1}", key=key, offset=offset, spec=node))
    return tuple(nodes)


def default_network(spec: LabSpec) -> str:
    """Return the network that carries the cloud if the spec does not name one.

    It is the first network that is not used to log in to a node, else the first one.
    """
    login_networks = {node.nics[0].network for node in spec.nodes.values() if node.nics}
    for name in spec.networks:
        if name not in login_networks:
            return name
    return next(iter(spec.networks), "")


def kind_of(node: NodeSpec, spec: LabSpec) -> NodeKind:
    """Return what a node is: as it says, or else as its lab says."""
    return node.kind or spec.kind or NodeKind.VM


def wanted_address(member: Member, address: IPv4Address | None) -> IPv4Address | None:
    """Return a node's address: the written one is that of the first node, the others follow it."""
    # Past 255.255.255.255 the addition raises: return the first one, which is outside its network.
    if address is None or int(address) + member.offset > 0xFFFFFFFF:
        return address
    return address + member.offset


def impairment(nic: NicSpec, network: NetworkSpec) -> Impairment:
    """Return how a NIC impairs what it sends: as written for it, else as for its network."""
    return Impairment(
        delay_ms=_first_written(nic.delay, network.delay, 0.0),
        loss_percent=_first_written(nic.loss, network.loss, 0.0),
        rate_kbit=_first_written(nic.rate, network.rate, 0),
    )


def _first_written(own: Number | None, of_network: Number | None, default: Number) -> Number:
    # Not `or`: a NIC may say 0 where its network says something else.
    for value in (own, of_network):
        if value is not None:
            return value
    return default
