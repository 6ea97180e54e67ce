"""LabSpec -> Lab: every default filled in, once."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

from stacklab.model import (
    NIC,
    CheckPolicy,
    Installer,
    Lab,
    Network,
    NetworkMode,
    Node,
    Role,
    Size,
    Stack,
    stable_hex,
)
from stacklab.spec.addresses import Slot, assign, macs
from stacklab.spec.rules import (
    CONTRAIL_PAIRS,
    DEFAULT_MEMORY,
    Context,
    Member,
    check,
    default_network,
    members,
    wanted_address,
)
from stacklab.spec.schema import ChecksSpec, LabSpec, NetworkSpec, StackSpec
from stacklab.spec.source import Finding

DEFAULT_DISK = Size.parse("48GiB")
DEFAULT_MTU = 1500
DEFAULT_BRANCH = "master"


def resolve(spec: LabSpec, context: Context, source: Path) -> tuple[Lab | None, list[Finding]]:
    """Make the Lab; None when there are findings, or when something was left out of the spec."""
    nodes = members(spec)
    findings = list(check(spec, context))
    addresses, refused = assign(_slots(nodes), {name: network.cidr for name, network in spec.networks.items()})
    findings += refused
    if findings or not context.is_whole:
        return None, findings
    networks = {name: _network(context.name, name, network) for name, network in spec.networks.items()}
    hardware = macs(context.name, addresses)
    return (
        Lab(
            name=context.name,
            description=spec.description or "",
            source=source,
            images=spec.image,
            networks=tuple(networks.values()),
            nodes=tuple(_node(member, networks, addresses, hardware) for member in nodes),
            stack=_stack(spec.stack or StackSpec(), spec),
            checks=_checks(spec.checks or ChecksSpec()),
        ),
        [],
    )


def _slots(nodes: tuple[Member, ...]) -> list[Slot]:
    slots: list[Slot] = []
    for member in nodes:
        seen: set[str] = set()
        for index, nic in enumerate(member.spec.nics):
            if nic.network not in seen:  # a second NIC on one network is reported as just that
                path = ("nodes", member.key, "nics", index)
                slots.append(Slot(member.name, nic.network, path, wanted_address(member, nic.address)))
            seen.add(nic.network)
    return slots


def _network(lab: str, name: str, spec: NetworkSpec) -> Network:
    own = "sl-" + stable_hex(lab, name, digits=10)
    return Network(
        name=name,
        cidr=spec.cidr,
        mode=spec.mode,
        mtu=spec.mtu or DEFAULT_MTU,
        bridge=spec.bridge if spec.mode is NetworkMode.BRIDGED and spec.bridge else own,
    )


def _node(
    member: Member,
    networks: Mapping[str, Network],
    addresses: Mapping[tuple[str, str], IPv4Address],
    hardware: Mapping[tuple[str, str], str],
) -> Node:
    nics: list[NIC] = []
    for index, nic in enumerate(member.spec.nics):
        network, end = networks[nic.network], (member.name, nic.network)
        nics.append(
            NIC(
                network=network.name,
                device=f"eth{index}",
                address=IPv4Interface((addresses[end], network.cidr.prefixlen)),
                mac=hardware[end],
                mtu=network.mtu,
            )
        )
    return Node(
        name=member.name,
        role=member.spec.role or Role.NODE,
        cpus=member.spec.cpus or 1,
        memory=member.spec.memory or DEFAULT_MEMORY,
        disk=member.spec.disk or DEFAULT_DISK,
        nics=tuple(nics),
    )


def _stack(spec: StackSpec, lab: LabSpec) -> Stack:
    installer = spec.installer or Installer.NONE
    network = spec.network or default_network(lab)
    if installer is Installer.NONE:
        return Stack(installer=installer, network=network)
    branch = spec.branch or DEFAULT_BRANCH
    return Stack(installer=installer, network=network, branch=branch, devstack_branch=CONTRAIL_PAIRS[branch])


def _checks(spec: ChecksSpec) -> CheckPolicy:
    return CheckPolicy(
        retries=3 if spec.retries is None else spec.retries,
        interval_s=2.0 if spec.interval is None else spec.interval,
        boot_timeout_s=300.0 if spec.boot_timeout is None else spec.boot_timeout,
    )
