"""Rules: a stack's networks exist, its ranges do not overlap, and nodes have the NICs they need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network
from typing import NamedTuple

from stacklab.model.release import Release
from stacklab.model.stack import Role
from stacklab.spec.defaults import default_network
from stacklab.spec.form.schema import LabSpec, NodeSpec
from stacklab.spec.form.stack import StackSpec
from stacklab.spec.mistakes import SpecMistake
from stacklab.spec.rules.context import RuleContext, title_of, undeclared_network

_NETWORK_KEYS = ("network", "api_network", "data_network", "external_network")


class _Need(NamedTuple):
    """A network on which nodes of these roles need a NIC, and the key that names it."""

    key: str
    network: str | None
    purpose: str
    roles: tuple[Role, ...]


def check_network_names(stack: StackSpec, context: RuleContext) -> Iterator[SpecMistake]:
    """Yield networks that are not declared."""
    for key in _NETWORK_KEYS:
        name = getattr(stack, key)
        if name and context.is_undeclared(name):
            yield undeclared_network(("stack", key), name, context)


def check_ranges(stack: StackSpec, spec: LabSpec, release: Release) -> Iterator[SpecMistake]:
    """Yield ranges of the cloud that overlap: a node would lose its way to the lab."""
    earlier: dict[str, IPv4Network] = {}
    # In this order: a floating range is compared with the fixed one.
    for key in ("fixed_range", "floating_range"):
        written = getattr(stack, key)
        default = release.text(key) if key in release.options else ""
        if written is None and not default:
            continue
        cidr = written or IPv4Network(default)
        for overlap in _overlaps_of(stack, spec, key, cidr, earlier):
            if written:
                yield SpecMistake(
                    path=("stack", key),
                    wrong=f"{key} {cidr} {overlap}",
                    right="choose another range",
                )
            else:  # the release's default is at fault, and the spec has to say something else
                yield SpecMistake(
                    path=("stack",),
                    wrong=f"{title_of(release)}'s own {key}, {cidr}, {overlap}",
                    right=f"write stack.{key} with a range of its own",
                    at_key=True,
                )
        earlier[key] = cidr


def _overlaps_of(
    stack: StackSpec,
    spec: LabSpec,
    key: str,
    cidr: IPv4Network,
    earlier: Mapping[str, IPv4Network],
) -> Iterator[str]:
    """Yield what a range overlaps, of the lab's networks and the ranges before it."""
    for name, network in spec.networks.items():
        # Floating addresses are meant to be on the network that carries them.
        is_outside = key == "floating_range" and name == stack.external_network
        if not is_outside and network.cidr.overlaps(cidr):
            yield f"overlaps network {name} ({network.cidr})"
    for other, taken in earlier.items():
        if taken.overlaps(cidr):
            yield f"overlaps {other} {taken}"


def check_needed_nics(stack: StackSpec, spec: LabSpec) -> Iterator[SpecMistake]:
    """Yield nodes without a NIC on a network that they need for their role."""
    carrier = stack.network or default_network(spec)
    cloud, first = (Role.CONTROLLER, Role.COMPUTE), (Role.CONTROLLER,)
    needs = (
        _Need("network", carrier, "carries the cloud", tuple(Role)),
        _Need("api_network", stack.api_network, "carries the APIs", cloud),
        _Need("data_network", stack.data_network, "carries the tenants' traffic", cloud),
        _Need("external_network", stack.external_network, "carries floating addresses", first),
    )
    for need in needs:
        # One that is not declared is a finding already.
        if need.network not in spec.networks:
            continue
        for name, node in spec.nodes.items():
            if _lacks_nic(node, need):
                yield SpecMistake(
                    path=("nodes", name, "nics"),
                    wrong=f"no NIC on {need.network}, which {need.purpose}",
                    right=f"add `- network: {need.network}`, or set stack.{need.key}",
                )


def _lacks_nic(node: NodeSpec, need: _Need) -> bool:
    networks = [nic.network for nic in node.nics]
    role = node.role or Role.NODE
    return role in need.roles and need.network not in networks


def check_access_network(stack: StackSpec, spec: LabSpec) -> Iterator[SpecMistake]:
    """Yield an external network by which the host logs in: the cloud takes its NIC over."""
    name = stack.external_network or ""
    if name not in spec.networks:
        return
    access_networks = {node.nics[0].network for node in spec.nodes.values()}
    if name in access_networks:
        yield SpecMistake(
            path=("stack", "external_network"),
            wrong=f"the host logs in by {name}; the cloud would take its NIC",
            right="give it a network of its own",
        )
