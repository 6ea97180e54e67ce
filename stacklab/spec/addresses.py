"""Addresses and MACs of nodes. They depend on the spec alone and are given in its order.

So a node that is added at the end never changes the address of an earlier one, and a lab can
grow while it runs. For the same reason an address that is written for a node is not kept free
for it: an earlier node may have got it, which is then a mistake of the spec.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple, TypeAlias

from stacklab.model.lab import stable_hex
from stacklab.spec.mistakes import Keys, SpecMistake

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
    """The node that has an address, and how it got it."""

    node: str
    is_automatic: bool


_End: TypeAlias = tuple[str, str]  # a node's name and a network's
_Taken: TypeAlias = Mapping[IPv4Address, _Owner]


def assign(
    slots: Iterable[Slot], networks: Mapping[str, IPv4Network]
) -> tuple[dict[_End, IPv4Address], list[SpecMistake]]:
    """Give each (node, network) its address; an address that cannot be given is a finding."""
    given: dict[_End, IPv4Address] = {}
    findings: list[SpecMistake] = []
    owners: dict[str, dict[IPv4Address, _Owner]] = {name: {} for name in networks}
    full: set[Keys] = set()  # all nodes of a count have one path: one finding is enough
    # One after the other: an earlier slot takes what a later one may have wanted.
    for slot in slots:
        if slot.network not in networks:
            continue  # undeclared or broken: reported elsewhere
        cidr = networks[slot.network]
        taken = owners[slot.network]
        address = slot.wanted or _first_free(cidr, taken)
        if address is None:
            if slot.path not in full:
                findings.append(_no_room_left(slot, cidr))
            full.add(slot.path)
            continue
        # An automatic address was just found free: only a written one can be wrong.
        refusal = _why_refused(slot, address, cidr, taken) if slot.wanted else None
        if refusal:
            findings.append(refusal)
            continue
        taken[address] = _Owner(node=slot.node, is_automatic=slot.wanted is None)
        given[slot.node, slot.network] = address
    return given, findings


def _automatic_offsets(cidr: IPv4Network) -> range:
    """Return the offsets in a network that automatic addresses have."""
    # In a range smaller than a /24 all is needed but the last one, which is for broadcasts.
    top = TOP_FREE if cidr.num_addresses >= 256 else 1
    return range(FIRST_AUTOMATIC, cidr.num_addresses - top)


def _first_free(cidr: IPv4Network, taken: _Taken) -> IPv4Address | None:
    for offset in _automatic_offsets(cidr):
        address = cidr[offset]
        if address not in taken:
            return address
    return None


def _no_room_left(slot: Slot, cidr: IPv4Network) -> SpecMistake:
    automatic = "none"
    offsets = _automatic_offsets(cidr)
    if offsets:  # a /29 is too small to have any
        automatic = f"{cidr[offsets[0]]} to {cidr[offsets[-1]]}"
    return SpecMistake(
        path=slot.path,
        wrong=f"{slot.network} ({cidr}) does not have an automatic address left for {slot.node}",
        right=f"automatic ones: {automatic}; write `address:`, or a wider cidr",
    )


def _why_refused(
    slot: Slot, address: IPv4Address, cidr: IPv4Network, taken: _Taken
) -> SpecMistake | None:
    """Return what is wrong with an address that the spec wants, None if it can be given."""
    path = (*slot.path, "address")
    wrong = _why_unusable(slot, address, cidr)
    if wrong:
        # .1 is the host's, and the last one is for broadcasts.
        return SpecMistake(path=path, wrong=wrong, right=f"{cidr[2]} to {cidr[-2]}")
    owner = taken.get(address)
    if owner is None:
        return None
    how = " (given automatically)" if owner.is_automatic else ""
    free = _first_free(cidr, taken)
    return SpecMistake(
        path=path,
        wrong=f"{address} of {slot.node} is already {owner.node}'s{how}",
        right=f"{free} is free" if free else "choose another",
    )


def _why_unusable(slot: Slot, address: IPv4Address, cidr: IPv4Network) -> str:
    """Return why no node of a network can have an address, "" if one can."""
    if address not in cidr:
        return f"{address} of {slot.node} is outside {slot.network}, {cidr}"
    if address == cidr.network_address:
        return f"{address} is the network address of {slot.network}, {cidr}"
    if address == cidr.broadcast_address:
        return f"{address} is the broadcast address of {slot.network}, {cidr}"
    if address == cidr[1]:
        return f"{address} is the host's own address on {slot.network}"
    return ""


def macs(lab: str, ends: Iterable[_End]) -> dict[_End, str]:
    """Return a MAC for each (node, network): unique, in QEMU's range, the same on every host."""
    given: dict[_End, str] = {}
    taken: set[str] = set()
    for node, network in ends:
        digits = stable_hex(lab, node, network, digits=6)
        # Six digits of a hash may be those of another node's: hash on with a number behind.
        attempt = 0
        while digits in taken:
            attempt += 1
            digits = stable_hex(lab, node, network, str(attempt), digits=6)
        taken.add(digits)
        # 52:54:00 is the prefix that QEMU and libvirt use.
        given[node, network] = f"52:54:00:{digits[:2]}:{digits[2:4]}:{digits[4:]}"
    return given
