"""Addresses and MACs: a function of the spec alone, in the order in which it is written.

A later node never moves an earlier one, so a lab can grow while it runs. That is why an
address given to a node is compared with those before it, and not kept free for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from stacklab.model.lab import stable_hex
from stacklab.spec.source import Finding, Keys

FIRST_AUTOMATIC = 11  # .2 to .10 stay free for addresses that people choose
TOP_FREE = 32  # of a /24 or wider: room for floating addresses (DevStack's usual .224/27)


class Slot(NamedTuple):
    """A NIC that needs an address; `wanted` is the one written, if any."""

    node: str
    network: str
    path: Keys
    wanted: IPv4Address | None


class _Owner(NamedTuple):
    node: str
    is_automatic: bool


def assign(
    slots: Iterable[Slot], networks: Mapping[str, IPv4Network]
) -> tuple[dict[tuple[str, str], IPv4Address], list[Finding]]:
    """Give each (node, network) its address; what cannot be given is a finding."""
    given: dict[tuple[str, str], IPv4Address] = {}
    findings: list[Finding] = []
    owners: dict[str, dict[IPv4Address, _Owner]] = {name: {} for name in networks}
    for slot in slots:
        if slot.network not in networks:
            continue  # undeclared or broken: reported elsewhere
        cidr, taken = networks[slot.network], owners[slot.network]
        if slot.wanted is None:
            address = _first_free(cidr, taken)
            if address is None:
                if slot.path not in {finding.path for finding in findings}:
                    findings.append(_no_room(slot, cidr))
                continue
        else:
            address = slot.wanted
            if finding := _refusal(slot, address, cidr, taken):
                findings.append(finding)
                continue
        taken[address] = _Owner(slot.node, slot.wanted is None)
        given[slot.node, slot.network] = address
    return given, findings


def _automatic(cidr: IPv4Network) -> range:
    """The offsets in a network that automatic addresses have."""
    top = TOP_FREE if cidr.num_addresses >= 256 else 1
    return range(FIRST_AUTOMATIC, cidr.num_addresses - top)


def _first_free(cidr: IPv4Network, taken: Mapping[IPv4Address, _Owner]) -> IPv4Address | None:
    return next((cidr[offset] for offset in _automatic(cidr) if cidr[offset] not in taken), None)


def _no_room(slot: Slot, cidr: IPv4Network) -> Finding:
    offsets = _automatic(cidr)
    automatic = f"{cidr[offsets[0]]} to {cidr[offsets[-1]]}" if offsets else "none"
    return Finding(
        slot.path,
        f"{slot.network} ({cidr}) has no automatic address left for {slot.node}",
        f"automatic ones: {automatic}; write `address:`, or a wider cidr",
    )


def _refusal(
    slot: Slot, address: IPv4Address, cidr: IPv4Network, taken: Mapping[IPv4Address, _Owner]
) -> Finding | None:
    path = (*slot.path, "address")
    usable = f"{cidr[2]} to {cidr[-2]}"
    if address not in cidr:
        return Finding(path, f"{address} of {slot.node} is outside {slot.network}, {cidr}", usable)
    if address in (cidr.network_address, cidr.broadcast_address):
        which = "network" if address == cidr.network_address else "broadcast"
        return Finding(path, f"{address} is the {which} address of {slot.network}, {cidr}", usable)
    if address == cidr[1]:
        return Finding(path, f"{address} is the host's own address on {slot.network}", usable)
    if owner := taken.get(address):
        how = " (given automatically)" if owner.is_automatic else ""
        free = _first_free(cidr, taken)
        right = f"{free} is free" if free else "choose another"
        return Finding(path, f"{address} of {slot.node} is {owner.node}'s already{how}", right)
    return None


def macs(lab: str, ends: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """A MAC per (node, network), in QEMU's own range; equal on every host, never given twice."""
    given: dict[tuple[str, str], str] = {}
    taken: set[str] = set()
    for node, network in ends:
        digits = stable_hex(lab, node, network, digits=6)
        again = 0
        while digits in taken:
            again += 1
            digits = stable_hex(lab, node, network, str(again), digits=6)
        taken.add(digits)
        given[node, network] = f"52:54:00:{digits[:2]}:{digits[2:4]}:{digits[4:]}"
    return given
