"""Addresses and MACs of nodes. They depend on the spec alone and are given in its order.

So a node that is added at the end never changes the address of an earlier one, and a lab can
grow while it runs. For the same reason an address that is written for a node is not kept free
for it: an earlier node may have got it, which is then a mistake of the spec.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from stacklab.model.lab import stable_hex
from stacklab.spec.source import Finding, Keys

FIRST_AUTOMATIC = 11  # .2 to .10 stay free for addresses that the spec chooses
# Of a /24 or wider: room for floating addresses (DevStack's usual range is .224/27).
TOP_FREE = 32


class Slot(NamedTuple):
    """A NIC that needs an address; `wanted` is the address in the spec, if there is one."""

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
    """Give each (node, network) its address; an address that cannot be given is a finding."""
    given: dict[tuple[str, str], IPv4Address] = {}
    findings: list[Finding] = []
    owners: dict[str, dict[IPv4Address, _Owner]] = {name: {} for name in networks}
    full: set[Keys] = set()  # all nodes of a count have one path: one finding is enough
    for slot in slots:
        if slot.network not in networks:
            continue  # undeclared or broken: reported elsewhere
        cidr, taken = networks[slot.network], owners[slot.network]
        address = slot.wanted or _first_free(cidr, taken)
        if address is None:
            if slot.path not in full:
                findings.append(_no_room(slot, cidr))
            full.add(slot.path)
            continue
        refusal = _refusal(slot, address, cidr, taken) if slot.wanted else None
        if refusal:
            findings.append(refusal)
            continue
        taken[address] = _Owner(slot.node, slot.wanted is None)
        given[slot.node, slot.network] = address
    return given, findings


def _automatic_offsets(cidr: IPv4Network) -> range:
    """Return the offsets in a network that automatic addresses have."""
    top = TOP_FREE if cidr.num_addresses >= 256 else 1
    return range(FIRST_AUTOMATIC, cidr.num_addresses - top)


def _first_free(cidr: IPv4Network, taken: Mapping[IPv4Address, _Owner]) -> IPv4Address | None:
    for offset in _automatic_offsets(cidr):
        if cidr[offset] not in taken:
            return cidr[offset]
    return None


def _no_room(slot: Slot, cidr: IPv4Network) -> Finding:
    offsets = _automatic_offsets(cidr)
    automatic = f"{cidr[offsets[0]]} to {cidr[offsets[-1]]}" if offsets else "none"
    return Finding(
        slot.path,
        f"{slot.network} ({cidr}) does not have an automatic address left for {slot.node}",
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
    owner = taken.get(address)
    if owner is None:
        return None
    how = " (given automatically)" if owner.is_automatic else ""
    free = _first_free(cidr, taken)
    right = f"{free} is free" if free else "choose another"
    return Finding(path, f"{address} of {slot.node} is already {owner.node}'s{how}", right)


def macs(lab: str, ends: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return a MAC for each (node, network): unique, in QEMU's range, the same on every host."""
    given: dict[tuple[str, str], str] = {}
    taken: set[str] = set()
    for node, network in ends:
        digits = stable_hex(lab, node, network, digits=6)
        attempt = 0
        while digits in taken:
            attempt += 1
            digits = stable_hex(lab, node, network, str(attempt), digits=6)
        taken.add(digits)
        given[node, network] = f"52:54:00:{digits[:2]}:{digits[2:4]}:{digits[4:]}"
    return given
