"""Rules for a spec as a whole, beyond the form of each value."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from stacklab.model.lab import Impairment, NetworkMode, Size
from stacklab.model.stack import Role
from stacklab.spec.schema import MOST_NICS, STAND_IN, LabSpec, NetworkSpec, NicSpec, NodeSpec
from stacklab.spec.source import Finding, Keys
from stacklab.spec.values import LAB_NAME_LENGTH, NAME_LENGTH, NODE_NAME, name_problem
from stacklab.words import suggest

DEFAULT_MEMORY = Size.parse("1GiB")

# libvirt's packages make this network on every machine, so also on a node that is a compute.
NESTED_DEFAULT = IPv4Network("192.168.122.0/24")

# Names that a node cannot have, and the reason.
_RESERVED_NAMES = {
    "localhost": "every host's own name",
    "host": "what reports call the host itself",
}


class Member(NamedTuple):
    """A node by its final name; `offset` is its position, from 0, among the nodes of its entry."""

    name: str
    key: str
    offset: int
    spec: NodeSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the rules must know beside the spec."""

    name: str
    # Every network that is written, also one with mistakes; None: unknown.
    declared: tuple[str, ...] | None = None
    is_whole: bool = True  # False: something was left out, so totals have no meaning
    known_images: Collection[str] | None = None
    host_memory: Size | None = None


def members(spec: LabSpec) -> tuple[Member, ...]:
    """Return every node by its final name: a `compute` with count 2 is compute1 and compute2."""
    nodes: list[Member] = []
    for key, node in spec.nodes.items():
        if node.count is None:
            nodes.append(Member(key, key, 0, node))
        else:
            nodes += [
                Member(f"{key}{number + 1}", key, number, node) for number in range(node.count)
            ]
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


def check(spec: LabSpec, context: Context) -> Iterator[Finding]:
    """Yield all that is wrong with a spec, except for its addresses, `stack` and `checks`."""
    yield from _name(spec, context)
    yield from _images(spec, context)
    yield from _networks(spec)
    yield from _names(spec)
    for key, node in spec.nodes.items():
        yield from _nics(("nodes", key, "nics"), node, spec, context)
    # Totals of a spec that lost a part would be wrong.
    if context.is_whole:
        yield from _totals(spec, context)


def _name(spec: LabSpec, context: Context) -> Iterator[Finding]:
    problem = name_problem(context.name, LAB_NAME_LENGTH)
    if problem:
        wrong, right = problem
        yield Finding((), f"the file's name is the lab's: {wrong}", f"rename the file: {right}")
    elif spec.name is not None and spec.name != context.name:
        yield Finding(
            ("name",), f"'{spec.name}' is not the file's name", f"{context.name}, or leave it out"
        )


def _images(spec: LabSpec, context: Context) -> Iterator[Finding]:
    if not spec.image:
        yield Finding(("image",), "no image", "e.g. debian-12")
    for index, image in enumerate(spec.image):
        path: Keys = ("image", index)
        if image == STAND_IN:  # it was refused by its form, which is a finding already
            continue
        if image in spec.image[:index]:
            yield Finding(path, f"{image} is written twice", "remove one")
        elif context.known_images is not None and image not in context.known_images:
            yield Finding(
                path,
                f"no image '{image}'",
                suggest(image, sorted(context.known_images), label="known"),
            )


def _networks(spec: LabSpec) -> Iterator[Finding]:
    has_compute = any(node.role is Role.COMPUTE for node in spec.nodes.values())
    earlier: list[str] = []
    for name, network in spec.networks.items():
        path: Keys = ("networks", name)
        for other in earlier:
            if network.cidr.overlaps(spec.networks[other].cidr):
                wrong = f"{network.cidr} overlaps network {other} ({spec.networks[other].cidr})"
                yield Finding((*path, "cidr"), wrong, "give each network a range of its own")
        earlier.append(name)
        if has_compute and network.cidr.overlaps(NESTED_DEFAULT):
            yield Finding(
                (*path, "cidr"),
                f"{network.cidr} overlaps {NESTED_DEFAULT}, which libvirt on a compute uses itself",
                "a compute could not reach this network; choose another range",
            )
        yield from _network_mode(path, network)


def _network_mode(path: Keys, network: NetworkSpec) -> Iterator[Finding]:
    is_bridged = network.mode is NetworkMode.BRIDGED
    if is_bridged and network.bridge is None:
        yield Finding(
            path, "mode bridged needs a bridge of the host", "add e.g. bridge: br0", at_key=True
        )
    if not is_bridged and network.bridge is not None:
        wrong = f"mode {network.mode} makes its own bridge"
        yield Finding((*path, "bridge"), wrong, "remove it, or write mode: bridged")
    if network.host is False and network.mode is not NetworkMode.ISOLATED:
        wrong = f"the host is part of a network of mode {network.mode}"
        yield Finding((*path, "host"), wrong, "remove it, or write mode: isolated")


def _names(spec: LabSpec) -> Iterator[Finding]:
    owners: dict[str, str] = {}
    invalid: set[str] = set()
    for member in members(spec):
        path: Keys = ("nodes", member.key)
        if member.name in owners:
            wrong = f"{member.name} is also a node of '{owners[member.name]}'"
            yield Finding(path, wrong, "rename one of them", at_key=True)
        owners.setdefault(member.name, member.key)
        if member.name in _RESERVED_NAMES:
            wrong = f"{member.name} is {_RESERVED_NAMES[member.name]}"
            yield Finding(path, wrong, "rename it", at_key=True)
        # One finding for all nodes of a count.
        problem = name_problem(member.name, NAME_LENGTH, NODE_NAME)
        if problem and member.key not in invalid:
            invalid.add(member.key)
            wrong, right = problem
            yield Finding(path, f"with its number, {wrong}", right, at_key=True)


def _nics(path: Keys, node: NodeSpec, spec: LabSpec, context: Context) -> Iterator[Finding]:
    if not node.nics:
        yield Finding(path, "no NIC", "at least one, on a nat or isolated network")
    if len(node.nics) > MOST_NICS:
        yield Finding(path, f"{len(node.nics)} NICs", f"{MOST_NICS} at most")
    seen: dict[str, int] = {}
    for index, nic in enumerate(node.nics):
        nic_path: Keys = (*path, index, "network")
        if context.declared is not None and nic.network not in context.declared:
            right = suggest(nic.network, context.declared, label="declared")
            yield Finding(nic_path, f"no network '{nic.network}'", right)
        elif nic.network in seen:
            right = f"the first is nics[{seen[nic.network]}]"
            yield Finding(nic_path, f"a second NIC on {nic.network}", right)
        seen.setdefault(nic.network, index)
    if node.nics and node.nics[0].network in spec.networks:
        yield from _first_nic(path, node.nics[0], spec.networks[node.nics[0].network])


def _first_nic(path: Keys, nic: NicSpec, network: NetworkSpec) -> Iterator[Finding]:
    """Yield what would keep the host from logging in to a node, which it does by the first NIC."""
    network_path: Keys = (*path, 0, "network")
    if network.mode is NetworkMode.BRIDGED:
        yield Finding(
            network_path,
            f"the first NIC is on {nic.network}, which is bridged",
            "the host logs in by it: put a nat or isolated network first",
        )
    if network.host is False and network.mode is NetworkMode.ISOLATED:
        yield Finding(
            network_path,
            f"the first NIC is on {nic.network}, where the host does not have an address",
            "the host logs in by it: put another network first",
        )
    if impairment(nic, network).loss_percent >= 100:
        yield Finding(
            network_path if nic.loss is None else (*path, 0, "loss"),
            "the first NIC loses all that it sends",
            "the host logs in by it: write loss: 0% here",
        )


def _totals(spec: LabSpec, context: Context) -> Iterator[Finding]:
    if not spec.networks:
        yield Finding(
            ("networks",), "no network", "at least one; see labs/mini-2node.yaml", at_key=True
        )
    if not spec.nodes:
        yield Finding(("nodes",), "no node", "at least one; see labs/mini-2node.yaml", at_key=True)
    total = Size(sum((member.spec.memory or DEFAULT_MEMORY).mib for member in members(spec)))
    if context.host_memory is not None and total > context.host_memory:
        wrong = f"the nodes need {total} of memory together, this host has {context.host_memory}"
        yield Finding(("nodes",), wrong, "less memory or fewer nodes", at_key=True)


def wanted_address(member: Member, address: IPv4Address | None) -> IPv4Address | None:
    """Return a node's address: the written one is that of the first node, the others follow it."""
    # Past 255.255.255.255 the addition raises: return the first one, which is outside its network.
    if address is None or int(address) + member.offset > 0xFFFFFFFF:
        return address
    return address + member.offset


def impairment(nic: NicSpec, network: NetworkSpec) -> Impairment:
    """Return how a NIC impairs what it sends: as written for it, else as for its network."""
    return Impairment(
        delay_ms=(network.delay or 0.0) if nic.delay is None else nic.delay,
        loss_percent=(network.loss or 0.0) if nic.loss is None else nic.loss,
        rate_kbit=(network.rate or 0) if nic.rate is None else nic.rate,
    )
