"""What a spec must fulfil beyond the form of each value; every rule tells all that it finds."""

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

# What libvirt's packages put on every machine, so also on a node that is a compute.
NESTED_DEFAULT = IPv4Network("192.168.122.0/24")


class Member(NamedTuple):
    """A node by its final name; `offset` counts from 0 within its entry."""

    name: str
    key: str
    offset: int
    spec: NodeSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a spec is judged by, beside itself."""

    name: str
    declared: tuple[str, ...] | None = (
        None  # None: unknown; every network that is written, also one that is broken
    )
    is_whole: bool = True  # False: something was left out, so sums and totals mean nothing
    known_images: Collection[str] | None = None
    host_memory: Size | None = None


def members(spec: LabSpec) -> tuple[Member, ...]:
    """Every node with its final name: `compute` with a count of 2 is compute1 and compute2."""
    found: list[Member] = []
    for key, node in spec.nodes.items():
        if node.count is None:
            found.append(Member(key, key, 0, node))
        else:
            found += [
                Member(f"{key}{number + 1}", key, number, node) for number in range(node.count)
            ]
    return tuple(found)


def default_network(spec: LabSpec) -> str:
    """The network that carries the cloud when none is named: the first that no host logs in by."""
    access = {node.nics[0].network for node in spec.nodes.values() if node.nics}
    return next(
        (name for name in spec.networks if name not in access), next(iter(spec.networks), "")
    )


def check(spec: LabSpec, context: Context) -> Iterator[Finding]:
    """All that is wrong with a spec, save its addresses."""
    yield from _name(spec, context)
    yield from _images(spec, context)
    yield from _networks(spec)
    yield from _names(spec)
    for key, node in spec.nodes.items():
        yield from _nics(("nodes", key, "nics"), node, spec, context)
    if context.is_whole:
        yield from _totals(spec, context)


def _name(spec: LabSpec, context: Context) -> Iterator[Finding]:
    if problem := name_problem(context.name, LAB_NAME_LENGTH):
        yield Finding(
            (), f"the file's name is the lab's: {problem[0]}", f"rename the file: {problem[1]}"
        )
    elif spec.name is not None and spec.name != context.name:
        yield Finding(
            ("name",), f"'{spec.name}' is not the file's name", f"{context.name}, or leave it out"
        )


def _images(spec: LabSpec, context: Context) -> Iterator[Finding]:
    if not spec.image:
        yield Finding(("image",), "no image", "e.g. debian-12")
    for index, image in enumerate(spec.image):
        path: Keys = ("image", index)
        if image == STAND_IN:
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
            wrong = f"{network.cidr} overlaps {NESTED_DEFAULT}, the default network of the computes' own libvirt"
            yield Finding(
                (*path, "cidr"),
                wrong,
                "a compute would lose its way to this network; choose another range",
            )
        if network.mode is NetworkMode.BRIDGED and network.bridge is None:
            yield Finding(
                path, "mode bridged needs a bridge of the host", "add e.g. bridge: br0", at_key=True
            )
        if network.mode is not NetworkMode.BRIDGED and network.bridge is not None:
            yield Finding(
                (*path, "bridge"),
                f"mode {network.mode} makes its own bridge",
                "remove it, or mode: bridged",
            )
        if network.host is False and network.mode is not NetworkMode.ISOLATED:
            wrong = f"the host is part of a network of mode {network.mode}"
            yield Finding((*path, "host"), wrong, "remove it, or mode: isolated")


def _names(spec: LabSpec) -> Iterator[Finding]:
    owners: dict[str, str] = {}
    too_long: set[str] = set()
    for member in members(spec):
        path: Keys = ("nodes", member.key)
        if member.name in owners:
            wrong = f"{member.name} is also a node of '{owners[member.name]}'"
            yield Finding(path, wrong, "rename one of them", at_key=True)
        owners.setdefault(member.name, member.key)
        if member.name == "localhost":
            yield Finding(path, "localhost is every host's own name", "rename it", at_key=True)
        if member.name == "host":
            yield Finding(
                path, "host is what reports call the host itself", "rename it", at_key=True
            )
        if member.key not in too_long and (
            problem := name_problem(member.name, NAME_LENGTH, NODE_NAME)
        ):
            too_long.add(member.key)
            yield Finding(path, f"with its number, {problem[0]}", problem[1], at_key=True)


def _nics(path: Keys, node: NodeSpec, spec: LabSpec, context: Context) -> Iterator[Finding]:
    if not node.nics:
        yield Finding(path, "no NIC", "at least one, on a nat or isolated network")
    if len(node.nics) > MOST_NICS:
        yield Finding(path, f"{len(node.nics)} NICs", f"{MOST_NICS} at most")
    seen: dict[str, int] = {}
    for index, nic in enumerate(node.nics):
        here: Keys = (*path, index, "network")
        if context.declared is not None and nic.network not in context.declared:
            right = suggest(nic.network, context.declared, label="declared")
            yield Finding(here, f"no network '{nic.network}'", right)
        elif nic.network in seen:
            yield Finding(
                here, f"a second NIC on {nic.network}", f"the first is nics[{seen[nic.network]}]"
            )
        seen.setdefault(nic.network, index)
    if node.nics:
        first = spec.networks.get(node.nics[0].network)
        if first is not None and first.mode is NetworkMode.BRIDGED:
            wrong = f"the first NIC is on {node.nics[0].network}, which is bridged"
            yield Finding(
                (*path, 0, "network"), wrong, "the host logs in by it: nat or isolated first"
            )
        if first is not None and first.host is False and first.mode is NetworkMode.ISOLATED:
            wrong = f"the first NIC is on {node.nics[0].network}, where the host is not"
            yield Finding(
                (*path, 0, "network"), wrong, "the host logs in by it: put another network first"
            )
        if first is not None and impairment(node.nics[0], first).loss_percent >= 100:
            at: Keys = (*path, 0, "network") if node.nics[0].loss is None else (*path, 0, "loss")
            yield Finding(
                at,
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
    """A node's own address: the one written is the first node's, the others follow it."""
    if address is None or int(address) + member.offset > 0xFFFFFFFF:
        return address
    return address + member.offset


def impairment(nic: NicSpec, network: NetworkSpec) -> Impairment:
    """What a NIC does to what it sends: what is written for it, else what is for its network."""
    return Impairment(
        delay_ms=(network.delay or 0.0) if nic.delay is None else nic.delay,
        loss_percent=(network.loss or 0.0) if nic.loss is None else nic.loss,
        rate_kbit=(network.rate or 0) if nic.rate is None else nic.rate,
    )
