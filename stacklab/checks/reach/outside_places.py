"""Places outside a lab: "NAME:PORT", or the mirror of packages that a node's own sources name."""

from __future__ import annotations

from ipaddress import IPv4Address

from stacklab.checks.family import Facts, Tried
from stacklab.model.lab import Lab, NetworkMode, Node

PACKAGES = "packages"  # in place of a place: the mirror that the node's own sources name
_CONTROLS_MAX = 4  # of a closed node: places that it must not reach


def name_of(place: str) -> str:
    """Return the name or the address of "NAME:PORT"."""
    return place.rpartition(":")[0]


def is_address(name: str) -> bool:
    """Return True if a name is an IPv4 address."""
    try:
        IPv4Address(name)
    except ValueError:
        return False
    return True


def is_inside(lab: Lab, place: str) -> bool:
    """Return True if a place is on one of the lab's networks, as a mirror on the host may be."""
    name = name_of(place)
    if not is_address(name):
        return False
    address = IPv4Address(name)
    return any(address in network.cidr for network in lab.networks)


def is_open(lab: Lab, node: Node) -> bool:
    """Return True if a node has a way out: its default route can only be its first NIC's."""
    return lab.network(node.access.network).mode is not NetworkMode.ISOLATED


def controls(lab: Lab, facts: Facts) -> dict[str, Tried]:
    """Return places outside that the host reaches, by "ADDRESS:PORT": a closed node must not.

    By address, since a closed node does not know names either.
    """
    reached: dict[str, Tried] = {}
    for place, tried in facts.tried.items():
        # A mirror on the lab's own network is not outside: even a closed node may reach it.
        if tried.is_open and tried.address and not is_inside(lab, f"{tried.address}:0"):
            port = place.rpartition(":")[2]
            reached[f"{tried.address}:{port}"] = tried
    first = list(reached.items())[:_CONTROLS_MAX]
    return dict(first)


def known_names(facts: Facts) -> list[str]:
    """Return two names outside that the host knows: a closed node must not know them."""
    known: dict[str, None] = {}  # a set that keeps its order
    for place, tried in facts.tried.items():
        name = name_of(place)
        if tried.address and not is_address(name):
            known[name] = None
    return list(known)[:2]
