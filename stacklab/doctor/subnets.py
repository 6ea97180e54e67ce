"""Probes of address ranges: is a range that a lab needs in use on this host already?

A host that is itself a libvirt guest is a special case: its eth0 is in 192.168.122.0/24, which the
default network of its own libvirt takes, too. Then the host loses its route to its own gateway.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network
from typing import Any

from stacklab.doctor.result import ProbeArea, ProbeResult, ProbeStatus
from stacklab.model.lab import Lab, Network, NetworkMode
from stacklab.spec import free_ranges

# Routes that follow from an address of the host.
_SKIPPED_TYPES = frozenset({"local", "broadcast", "multicast", "anycast"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SubnetClaim:
    """A range that this host uses already."""

    cidr: IPv4Network
    device: str
    shown: str  # the address or route as `ip` prints it
    is_address: bool  # of an interface; False for the destination of a route


def parse_addresses(text: str) -> tuple[SubnetClaim, ...]:
    """Parse `ip -json addr`; IPv6, loopback and unreadable entries are left out."""
    claims = []
    for link in _parse_objects(text):
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
            claims.append(SubnetClaim(cidr=cidr, device=device, shown=shown, is_address=True))
    return tuple(claims)


def parse_links(text: str) -> frozenset[str]:
    """Parse the names of all interfaces in `ip -json addr`, which must be run without -4.

    With -4 it leaves out the interfaces that do not have an address.
    """
    return frozenset(str(link["ifname"]) for link in _parse_objects(text) if "ifname" in link)


def parse_routes(text: str) -> tuple[SubnetClaim, ...]:
    """Parse `ip -json route show table all`; IPv6, default and local routes are left out."""
    claims = []
    for route in _parse_objects(text):
        shown, device = str(route.get("dst", "")), str(route.get("dev", ""))
        if str(route.get("type")) in _SKIPPED_TYPES or device == "lo":
            continue
        try:
            cidr = IPv4Network(shown, strict=False)
        except ValueError:
            continue
        if cidr.prefixlen:  # not the default route
            claims.append(SubnetClaim(cidr=cidr, device=device, shown=shown, is_address=False))
    return tuple(claims)


def _parse_objects(text: str) -> Iterator[dict[str, Any]]:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        return
    if not isinstance(entries, list):
        return
    for entry in entries:
        if isinstance(entry, dict):
            yield entry


def probe_networks(
    lab: Lab, claims: Sequence[SubnetClaim], links: frozenset[str], others: Iterable[Lab] = ()
) -> tuple[ProbeResult, ...]:
    """Probe each network of the lab; `others` are the labs on record on this host."""
    neighbours = [other for other in others if other.name != lab.name]
    results = [_probe_network(lab, network, claims, links, neighbours) for network in lab.networks]
    return tuple(results)


def _probe_network(
    lab: Lab,
    network: Network,
    claims: Sequence[SubnetClaim],
    links: frozenset[str],
    others: Sequence[Lab],
) -> ProbeResult:
    if not network.is_made_by_us:
        return _probe_own(lab, network, links)
    # The network's own bridge exists already when a lab is resumed.
    foreign = [
        claim
        for claim in claims
        if claim.device != network.bridge and claim.cidr.overlaps(network.cidr)
    ]
    taken = [claim for claim in foreign if not _is_wide_route(claim, network)]
    subject = f"network {network.name!r} ({network.cidr})"
    suggestion = _suggest_range(lab, network, claims, others)
    fix = f"give {network.name!r} another cidr in {lab.source}{suggestion}"
    if taken:
        owner = _owner_lab(taken[0].device, others)
        if owner:
            fix = f"./invoke lab.down {owner}, or {fix}"
        sentence = f"{subject} is taken: {_holder_text(taken[0], owner)}"
        return _network_result(network, ProbeStatus.FAILED, sentence, fix)
    # Only a wide route overlaps: the host loses a part of it, and the lab works.
    if foreign:
        route = f"{foreign[0].shown} by {foreign[0].device}"
        sentence = f"{subject} will hide a part of the route to {route}"
        return _network_result(network, ProbeStatus.WARNING, sentence, fix)
    overlap = _overlap_with_lab(network, others)
    if overlap:
        return _network_result(network, ProbeStatus.WARNING, f"{subject} {overlap}", fix)
    return _network_result(network, ProbeStatus.OK, f"{subject} is free")


def _overlap_with_lab(network: Network, others: Sequence[Lab]) -> str:
    """Describe the overlap with a network of a lab that is down, which has no bridge now."""
    for other in others:
        for theirs in other.networks:
            if theirs.is_made_by_us and theirs.cidr.overlaps(network.cidr):
                name = f"{theirs.name!r} ({theirs.cidr}) of lab {other.name}"
                return f"overlaps {name}, which is down"
    return ""


def _probe_own(lab: Lab, network: Network, links: frozenset[str]) -> ProbeResult:
    """Probe a network that is the host's own: a bridge, or an interface that VMs share."""
    if network.mode is NetworkMode.BRIDGED:
        sentence = f"network {network.name!r} is bridged to {network.bridge}"
        fix = f"sudo ip link add {network.bridge} type bridge, or name another one in {lab.source}"
    else:
        sentence = f"network {network.name!r} is on the host's interface {network.bridge}"
        fix = f"`ip -br link` lists those that there are; name one in {lab.source}"
    if network.bridge in links:
        return _network_result(network, ProbeStatus.OK, sentence)
    return _network_result(
        network, ProbeStatus.FAILED, f"{sentence}, which this host does not have", fix
    )


def _is_wide_route(claim: SubnetClaim, network: Network) -> bool:
    """Return True for a route that is wider than the network, such as a VPN's 10.0.0.0/8.

    The lab's narrower range goes before it and hides only a part of it.
    """
    return not claim.is_address and claim.cidr.prefixlen < network.cidr.prefixlen


def _owner_lab(device: str, others: Sequence[Lab]) -> str:
    owners = {}
    for other in others:
        for network in other.networks:
            owners[network.bridge] = other.name
    return owners.get(device, "")


def _holder_text(claim: SubnetClaim, owner: str) -> str:
    if owner:
        return f"lab {owner} has {claim.shown} on {claim.device}"
    if claim.is_address:
        return f"{claim.device} has {claim.shown}"
    return f"{claim.shown} is routed to {claim.device}"


def _suggest_range(
    lab: Lab, network: Network, claims: Sequence[SubnetClaim], others: Sequence[Lab]
) -> str:
    """Return a free range of the same size, as the end of a sentence, or ""."""
    used = [claim.cidr for claim in claims]
    for known in (lab, *others):
        used += [known_network.cidr for known_network in known.networks]
    free = free_ranges.first_free(network.cidr.prefixlen, used)
    return f", {free} is free" if free else ""


def probe_nested(claims: Sequence[SubnetClaim]) -> ProbeResult | None:
    """Return a warning if libvirt's default network is in the range of another interface."""
    addresses = [claim for claim in claims if claim.is_address]
    bridges = [claim for claim in addresses if claim.device.startswith("virbr")]
    for bridge, other in itertools.product(bridges, addresses):
        if other.device != bridge.device and other.cidr.overlaps(bridge.cidr):
            return _nested_result(bridge, other)
    return None


def _nested_result(bridge: SubnetClaim, other: SubnetClaim) -> ProbeResult:
    sentence = (
        f"{bridge.device} ({bridge.shown}) and {other.device} ({other.shown}) "
        "are in one range: this host is a guest itself, and the default network of "
        "its libvirt takes the addresses of the network that it is on"
    )
    return ProbeResult(
        name="nested libvirt",
        area=ProbeArea.HOST,
        status=ProbeStatus.WARNING,
        sentence=sentence,
        fix="virsh net-destroy default; virsh net-autostart default --disable",
    )


def _network_result(
    network: Network, status: ProbeStatus, sentence: str, fix: str = ""
) -> ProbeResult:
    return ProbeResult(
        name=f"network {network.name}",
        area=ProbeArea.HOST,
        status=status,
        sentence=sentence,
        fix=fix,
    )
