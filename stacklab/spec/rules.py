"""Rules for a spec as a whole, beyond the form of each value."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from stacklab.model.lab import Impairment, NetworkMode, NodeKind, Size
from stacklab.model.stack import Role
from stacklab.spec.schema import MOST_NICS, STAND_IN, LabSpec, NetworkSpec, NicSpec, NodeSpec
from stacklab.spec.source import Keys, SpecMistake
from stacklab.spec.values import LAB_NAME_LENGTH, NAME_LENGTH, NODE_NAME, Number, name_problem
from stacklab.words import suggest

DEFAULT_MEMORY = Size.parse("1GiB")

# libvirt's packages make this network on every machine, so also on a node that is a compute.
NESTED_DEFAULT = IPv4Network("192.168.122.0/24")

# Names that a node cannot have, and the reason.
_RESERVED_NAMES = {
    "localhost": "every host's own name",
    "host": "what reports call the host itself",
}

# Networks that are the host's own: the key that names what it has for them, that, and an example.
_OF_HOST = {
    NetworkMode.BRIDGED: ("bridge", "a bridge", "br0"),
    NetworkMode.MACVTAP: ("device", "an interface", "eno1"),
}
_ROOM_FOR_NICS = f"{MOST_NICS} at most: a VM has 32 PCI slots, for its NICs, disks and all else"


class Member(NamedTuple):
    """A node by its final name; `offset` is its position, from 0, among the nodes of its entry."""

    name: str
    key: str
    offset: int
    spec: NodeSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleContext:
    """What the rules must know beside the spec."""

    name: str
    # Every network that is written, also one with mistakes; None: unknown.
    declared: tuple[str, ...] | None = None
    is_whole: bool = True  # False: something was left out, so it is not known what is missing
    known_images: Collection[str] | None = None

    def is_undeclared(self, network: str) -> bool:
        """Return True if the spec does not have a network of that name, not even a wrong one."""
        return self.declared is not None and network not in self.declared

    def is_known_image(self, image: str) -> bool:
        """Return True for an image of the catalogue, or if the catalogue is not known here."""
        return self.known_images is None or image in self.known_images


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


def has_role(spec: LabSpec, role: Role) -> bool:
    """Return True if the spec gives a node that role."""
    return any(node.role is role for node in spec.nodes.values())


def undeclared_network(path: Keys, name: str, context: RuleContext) -> SpecMistake:
    """Return the finding that a network is named which is not declared."""
    return SpecMistake(
        path=path,
        wrong=f"no network '{name}'",
        right=suggest(name, context.declared or (), label="declared"),
    )


def check(spec: LabSpec, context: RuleContext) -> Iterator[SpecMistake]:
    """Yield all that is wrong with a spec, except for its addresses, `stack` and `checks`."""
    yield from _check_lab_name(spec, context)
    yield from _check_images(spec, context)
    yield from _check_networks(spec)
    yield from _check_node_names(spec)
    yield from _check_privileged(spec)
    for key, node in spec.nodes.items():
        yield from _check_nics(("nodes", key, "nics"), node, spec, context)
    # What a spec lost because it was wrong is not missing.
    if context.is_whole:
        yield from _check_is_filled(spec)


def _check_lab_name(spec: LabSpec, context: RuleContext) -> Iterator[SpecMistake]:
    # The file's name counts, by which every command finds the lab.
    problem = name_problem(context.name, LAB_NAME_LENGTH)
    if problem:
        wrong, right = problem
        yield SpecMistake(
            path=(),
            wrong=f"the file's name is the lab's: {wrong}",
            right=f"rename the file: {right}",
        )
        return
    if spec.name is not None and spec.name != context.name:
        yield SpecMistake(
            path=("name",),
            wrong=f"'{spec.name}' is not the file's name",
            right=f"{context.name}, or leave it out",
        )


def _check_images(spec: LabSpec, context: RuleContext) -> Iterator[SpecMistake]:
    if not spec.image:
        yield SpecMistake(path=("image",), wrong="no image", right="e.g. debian-12")
    for index, image in enumerate(spec.image):
        path: Keys = ("image", index)
        if image == STAND_IN:  # it was refused by its form, which is a finding already
            continue
        if image in spec.image[:index]:
            yield SpecMistake(path=path, wrong=f"{image} is written twice", right="remove one")
            continue
        if not context.is_known_image(image):
            known = sorted(context.known_images or ())
            yield SpecMistake(
                path=path,
                wrong=f"no image '{image}'",
                right=suggest(image, known, label="known"),
            )


def _check_networks(spec: LabSpec) -> Iterator[SpecMistake]:
    has_compute = has_role(spec, Role.COMPUTE)
    earlier: dict[str, NetworkSpec] = {}
    for name, network in spec.networks.items():
        path: Keys = ("networks", name)
        yield from _check_overlaps(path, network, earlier)
        earlier[name] = network
        if has_compute and network.cidr.overlaps(NESTED_DEFAULT):
            libvirt = f"{NESTED_DEFAULT}, which libvirt on a compute uses itself"
            yield SpecMistake(
                path=(*path, "cidr"),
                wrong=f"{network.cidr} overlaps {libvirt}",
                right="a compute could not reach this network; choose another range",
            )
        yield from _check_network_mode(path, network)


def _check_overlaps(
    path: Keys, network: NetworkSpec, earlier: Mapping[str, NetworkSpec]
) -> Iterator[SpecMistake]:
    for name, other in earlier.items():
        if network.cidr.overlaps(other.cidr):
            yield SpecMistake(
                path=(*path, "cidr"),
                wrong=f"{network.cidr} overlaps network {name} ({other.cidr})",
                right="give each network a range of its own",
            )


def _check_network_mode(path: Keys, network: NetworkSpec) -> Iterator[SpecMistake]:
    for mode, (key, thing, example) in _OF_HOST.items():
        is_named = getattr(network, key) is not None
        if network.mode is mode and not is_named:
            yield SpecMistake(
                path=path,
                wrong=f"mode {mode} needs {thing} of the host",
                right=f"add e.g. {key}: {example}",
                at_key=True,
            )
        if network.mode is not mode and is_named:
            yield SpecMistake(
                path=(*path, key),
                wrong=f"mode {network.mode} does not use {thing} of the host",
                right=f"remove it, or write mode: {mode}",
            )
    is_macvtap = network.mode is NetworkMode.MACVTAP
    if network.host is False and network.mode is not NetworkMode.ISOLATED:
        yield SpecMistake(
            path=(*path, "host"),
            wrong=f"the host is {'never' if is_macvtap else 'always'} part of a network of mode "
            f"{network.mode}",
            right="remove it, or write mode: isolated",
        )
    is_of_host = network.mode in _OF_HOST
    if network.host_services is not None and (is_of_host or network.host is False):
        why = "is not made by stacklab" if is_of_host else "lacks the host"
        yield SpecMistake(
            path=(*path, "host_services"),
            wrong=f"this network {why}: nobody could open or close the host to it",
            right="remove it",
        )


def _check_node_names(spec: LabSpec) -> Iterator[SpecMistake]:
    owners: dict[str, str] = {}
    invalid: set[str] = set()
    for member in members(spec):
        path: Keys = ("nodes", member.key)
        # With numbers, names can meet: the second node of `web` with a count, and a node `web2`.
        if member.name in owners:
            yield SpecMistake(
                path=path,
                wrong=f"{member.name} is also a node of '{owners[member.name]}'",
                right="rename one of them",
                at_key=True,
            )
        owners.setdefault(member.name, member.key)
        if member.name in _RESERVED_NAMES:
            yield SpecMistake(
                path=path,
                wrong=f"{member.name} is {_RESERVED_NAMES[member.name]}",
                right="rename it",
                at_key=True,
            )
        # The key itself was read as a name; only the number behind it can make it too long.
        problem = name_problem(member.name, NAME_LENGTH, NODE_NAME)
        # One finding for all nodes of a count.
        if problem and member.key not in invalid:
            invalid.add(member.key)
            wrong, right = problem
            yield SpecMistake(
                path=path, wrong=f"with its number, {wrong}", right=right, at_key=True
            )


def _check_privileged(spec: LabSpec) -> Iterator[SpecMistake]:
    right = "remove it, or say kind: container"
    has_container = False
    for key, node in spec.nodes.items():
        if kind_of(node, spec) is NodeKind.CONTAINER:
            has_container = True
        elif node.privileged is not None:
            path: Keys = ("nodes", key, "privileged")
            yield SpecMistake(path=path, wrong="has no meaning for a VM", right=right)
    if spec.privileged is not None and not has_container:
        wrong = "has no meaning in a lab without containers"
        yield SpecMistake(path=("privileged",), wrong=wrong, right=right)


def _check_nics(
    path: Keys, node: NodeSpec, spec: LabSpec, context: RuleContext
) -> Iterator[SpecMistake]:
    if not node.nics:
        yield SpecMistake(
            path=path, wrong="no NIC", right="at least one, on a nat or isolated network"
        )
        return
    if len(node.nics) > MOST_NICS:
        yield SpecMistake(path=path, wrong=f"{len(node.nics)} NICs", right=_ROOM_FOR_NICS)
    yield from _check_nic_networks(path, node, context)
    first_nic = node.nics[0]
    # None: it was not declared, or was left out, which is a finding of its own.
    network = spec.networks.get(first_nic.network)
    if network is not None:
        yield from _check_first_nic(path, first_nic, network)


def _check_nic_networks(path: Keys, node: NodeSpec, context: RuleContext) -> Iterator[SpecMistake]:
    first_index: dict[str, int] = {}
    for index, nic in enumerate(node.nics):
        network_path: Keys = (*path, index, "network")
        if context.is_undeclared(nic.network):
            yield undeclared_network(network_path, nic.network, context)
        elif nic.network in first_index:
            yield SpecMistake(
                path=network_path,
                wrong=f"a second NIC on {nic.network}",
                right=f"the first is nics[{first_index[nic.network]}]",
            )
        first_index.setdefault(nic.network, index)


def _check_first_nic(path: Keys, nic: NicSpec, network: NetworkSpec) -> Iterator[SpecMistake]:
    """Yield what would keep the host from logging in to a node, which it does by the first NIC."""
    network_path: Keys = (*path, 0, "network")
    if network.mode in _OF_HOST:
        yield SpecMistake(
            path=network_path,
            wrong=f"the first NIC is on {nic.network}, which is of mode {network.mode}",
            right="the host logs in by it: put a nat or isolated network first",
        )
    if network.host is False and network.mode is NetworkMode.ISOLATED:
        yield SpecMistake(
            path=network_path,
            wrong=f"the first NIC is on {nic.network}, where the host does not have an address",
            right="the host logs in by it: put another network first",
        )
    if impairment(nic, network).loss_percent >= 100:
        yield SpecMistake(
            # Where the loss is written: for this NIC, or else for all NICs of its network.
            path=network_path if nic.loss is None else (*path, 0, "loss"),
            wrong="the first NIC loses all that it sends",
            right="the host logs in by it: write loss: 0% here",
        )


def _check_is_filled(spec: LabSpec) -> Iterator[SpecMistake]:
    start = "at least one; see labs/mini-2node.yaml"
    if not spec.networks:
        yield SpecMistake(path=("networks",), wrong="no network", right=start, at_key=True)
    if not spec.nodes:
        yield SpecMistake(path=("nodes",), wrong="no node", right=start, at_key=True)


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
