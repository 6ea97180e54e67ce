"""Probes of address ranges: does something on this host hold what a lab's networks need.

The trap that the seeds of this project fell into: a host that is itself a libvirt
guest has its eth0 in 192.168.122.0/24, which its own libvirt's default network
takes again, and the host loses the way to its own gateway.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network
from itertools import islice
from typing import Any

from stacklab.doctor.result import ProbeArea, ProbeResult, ProbeStatus
from stacklab.model.lab import Lab, Network, NetworkMode

_SKIPPED_TYPES = frozenset(
    {"local", "broadcast", "multicast", "anycast"}
)  # follow from an address, add nothing
# The low end of 10/8 is what everybody else takes first.
_CANDIDATES = IPv4Network("10.64.0.0/10")
_CANDIDATES_TRIED = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A range that something on this host holds."""

    cidr: IPv4Network
    device: str
    shown: str  # the address or route as `ip` writes it
    is_address: bool  # an interface is in it, as opposed to a route that leads there


def parse_addresses(text: str) -> tuple[Claim, ...]:
    """Read `ip -json addr`; IPv6, loopback and what cannot be read are left out."""
    claims = []
    for link in _objects(text):
        device = str(link.get("ifname", ""))
        infos = link.get("addr_info")
        for info in infos if isinstance(infos, list) else ():
            if not isinstance(info, dict) or device == "lo":
                continue
            shown = f"{info.get('local')}/{info.get('prefixlen')}"
            try:
                cidr = IPv4Interface(shown).network
            except ValueError:
                continue
            claims.append(Claim(cidr=cidr, device=device, shown=shown, is_address=True))
    return tuple(claims)


def parse_links(text: str) -> frozenset[str]:
    """Read the names of all interfaces in `ip -json addr` (with -4 those without an address would be missing)."""
    return frozenset(str(link["ifname"]) for link in _objects(text) if "ifname" in link)


def parse_routes(text: str) -> tuple[Claim, ...]:
    """Read `ip -json route show table all`; IPv6, default and local routes are left out."""
    claims = []
    for route in _objects(text):
        shown, device = str(route.get("dst", "")), str(route.get("dev", ""))
        if str(route.get("type")) in _SKIPPED_TYPES or device == "lo":
            continue
        try:
            cidr = IPv4Network(shown, strict=False)
        except ValueError:
            continue
        if cidr.prefixlen:
            claims.append(Claim(cidr=cidr, device=device, shown=shown, is_address=False))
    return tuple(claims)


def _objects(text: str) -> Iterator[dict[str, Any]]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return
    yield from (each for each in found if isinstance(each, dict)) if isinstance(found, list) else ()


def probe_networks(
    lab: Lab, claims: Sequence[Claim], links: frozenset[str], others: Iterable[Lab] = ()
) -> tuple[ProbeResult, ...]:
    """One result per network of the lab; `others` are the labs that this host has a record of."""
    neighbours = tuple(other for other in others if other.name != lab.name)
    return tuple(_probe(lab, network, claims, links, neighbours) for network in lab.networks)


def _probe(
    lab: Lab,
    network: Network,
    claims: Sequence[Claim],
    links: frozenset[str],
    others: Sequence[Lab],
) -> ProbeResult:
    if network.mode is NetworkMode.BRIDGED:
        return _probe_bridge(lab, network, links)
    # Our own bridge is there when a lab is resumed; compared whole.
    foreign = [
        claim
        for claim in claims
        if claim.device != network.bridge and claim.cidr.overlaps(network.cidr)
    ]
    taken = [claim for claim in foreign if not _is_wide_route(claim, network)]
    head = f"network {network.name!r} ({network.cidr})"
    fix = f"give {network.name!r} another cidr in {lab.source}{_suggestion(lab, network, claims, others)}"
    if taken:
        owner = _owner(taken[0].device, others)
        if owner:
            fix = f"./invoke lab.down {owner}, or {fix}"
        return _result(
            network, ProbeStatus.FAILED, f"{head} is taken: {_holder(taken[0], owner)}", fix
        )
    if foreign:
        sentence = (
            f"{head} will hide a part of the route to {foreign[0].shown} by {foreign[0].device}"
        )
        return _result(network, ProbeStatus.WARNING, sentence, fix)
    for other in others:
        for theirs in other.networks:
            if theirs.mode is not NetworkMode.BRIDGED and theirs.cidr.overlaps(network.cidr):
                sentence = f"{head} overlaps {theirs.name!r} ({theirs.cidr}) of lab {other.name}, which is down"
                return _result(network, ProbeStatus.WARNING, sentence, fix)
    return _result(network, ProbeStatus.OK, f"{head} is free")


def _probe_bridge(lab: Lab, network: Network, links: frozenset[str]) -> ProbeResult:
    head = f"network {network.name!r} is bridged to {network.bridge}"
    if network.bridge in links:
        return _result(network, ProbeStatus.OK, head)
    fix = f"sudo ip link add {network.bridge} type bridge, or name another bridge in {lab.source}"
    return _result(network, ProbeStatus.FAILED, f"{head}, which this host does not have", fix)


def _is_wide_route(claim: Claim, network: Network) -> bool:
    """A VPN's 10.0.0.0/8 by a gateway: our narrower range wins, and only hides a part of it."""
    return not claim.is_address and claim.cidr.prefixlen < network.cidr.prefixlen


def _owner(device: str, others: Sequence[Lab]) -> str:
    owners = {network.bridge: other.name for other in others for network in other.networks}
    return owners.get(device, "")


def _holder(claim: Claim, owner: str) -> str:
    if owner:
        return f"lab {owner} has {claim.shown} on {claim.device}"
    return (
        f"{claim.device} has {claim.shown}"
        if claim.is_address
        else f"{claim.shown} is routed to {claim.device}"
    )


def _suggestion(lab: Lab, network: Network, claims: Sequence[Claim], others: Sequence[Lab]) -> str:
    used = [claim.cidr for claim in claims]
    used += [each.cidr for each in lab.networks]
    used += [each.cidr for other in others for each in other.networks]
    if network.cidr.prefixlen < _CANDIDATES.prefixlen:
        return ""
    ranges = islice(_CANDIDATES.subnets(new_prefix=network.cidr.prefixlen), _CANDIDATES_TRIED)
    found = next((each for each in ranges if not any(each.overlaps(cidr) for cidr in used)), None)
    return f", {found} is free" if found else ""


def probe_nested(claims: Sequence[Claim]) -> ProbeResult | None:
    """Find libvirt's own default network in the range of another interface; None when all is well."""
    addresses = [claim for claim in claims if claim.is_address]
    for bridge in (claim for claim in addresses if claim.device.startswith("virbr")):
        for other in addresses:
            if other.device != bridge.device and other.cidr.overlaps(bridge.cidr):
                sentence = (
                    f"{bridge.device} ({bridge.shown}) and {other.device} ({other.shown}) are in one range: this host"
                    " is a guest itself, and its libvirt's default network takes its own network's addresses"
                )
                fix = "virsh net-destroy default; virsh net-autostart default --disable"
                return ProbeResult(
                    name="nested libvirt",
                    area=ProbeArea.HOST,
                    status=ProbeStatus.WARNING,
                    sentence=sentence,
                    fix=fix,
                )
    return None


def _result(network: Network, status: ProbeStatus, sentence: str, fix: str = "") -> ProbeResult:
    return ProbeResult(
        name=f"network {network.name}",
        area=ProbeArea.HOST,
        status=status,
        sentence=sentence,
        fix=fix,
    )
