"""Rules for a spec as a whole, beyond the form of each value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network

from stacklab.model.lab import NetworkMode, NodeKind
from stacklab.model.stack import Role
from stacklab.spec.defaults import impairment, kind_of, members
from stacklab.spec.form.schema import MOST_NICS, STAND_IN, LabSpec, NetworkSpec, NicSpec, NodeSpec
from stacklab.spec.form.values import LAB_NAME_LENGTH, NAME_LENGTH, NODE_NAME, name_problem
from stacklab.spec.mistakes import Keys, SpecMistake
from stacklab.spec.rules.context import RuleContext, has_role, undeclared_network
from stacklab.words import suggest

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
