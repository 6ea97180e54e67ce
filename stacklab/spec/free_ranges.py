"""Address ranges: those that a lab's file claims, and free ones to move a lab's networks to."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network

from stacklab.spec.mistakes import Keys
from stacklab.spec.source import Document

# Where free ranges are looked for. Not the low end of 10.0.0.0/8, which other programs use first,
# and of 172.16.0.0/12 only what docker does not take by default.
_BLOCKS = (
    IPv4Network("10.64.0.0/10"),
    IPv4Network("172.30.0.0/16"),
    IPv4Network("192.168.0.0/16"),
)
_TRIED_PER_BLOCK = 512
# Numbers for labs: 192.168.NUMBER.0/24, 10.NUMBER.0.0/24. Those of homes and offices come last.
_NUMBERS = (*range(180, 255), *range(20, 180))
_OCTET_BITS = 8


def written_in(document: Document) -> tuple[IPv4Network, ...]:
    """Return the ranges that a lab's file claims: its networks and its cloud's pools.

    What is not a range is left out: the file may be anybody's, and half written.
    """
    ranges: list[IPv4Network] = []
    for path in _paths_of_ranges(document):
        text = document.text_at(path)
        with contextlib.suppress(ValueError):
            if text is not None:
                ranges.append(IPv4Network(text, strict=False))
    return tuple(ranges)


def network_names(document: Document) -> tuple[str, ...]:
    """Return the names of the networks that a lab's file declares; () if they can't be read."""
    networks = document.data.get("networks") if isinstance(document.data, dict) else None
    return tuple(networks) if isinstance(networks, dict) else ()


def _paths_of_ranges(document: Document) -> Iterator[Keys]:
    for name in network_names(document):
        yield ("networks", name, "cidr")
    yield ("stack", "fixed_range")
    yield ("stack", "floating_range")


def is_free(network: IPv4Network, used: Iterable[IPv4Network]) -> bool:
    """Return True if a range overlaps none of those that are used."""
    return not any(network.overlaps(other) for other in used)


def first_free(prefix: int, used: Collection[IPv4Network]) -> IPv4Network | None:
    """Return a private range of that prefix length that is not used; None if there is none."""
    for block in _BLOCKS:
        if prefix < block.prefixlen:
            continue  # wider than the whole block
        for candidate in itertools.islice(block.subnets(new_prefix=prefix), _TRIED_PER_BLOCK):
            if is_free(candidate, used):
                return candidate
    return None


def moves(
    networks: Sequence[IPv4Network], used: Collection[IPv4Network]
) -> Mapping[IPv4Network, IPv4Network]:
    """Return a free range of the same size for each network that needs one.

    Empty if all are free. A network without an entry stays: it is free, or nothing of its size is.
    """
    if all(is_free(network, used) for network in networks):
        return {}
    return _by_number(networks, used) or _one_by_one(networks, used)


def _by_number(
    networks: Sequence[IPv4Network], used: Collection[IPv4Network]
) -> dict[IPv4Network, IPv4Network]:
    """Give all networks of a lab the same new number, which people remember; {} if none fits."""
    for number in _NUMBERS:
        numbered = [_with_number(network, number) for network in networks]
        moved = [network for network in numbered if network is not None]
        if len(moved) < len(networks):
            return {}
        if all(is_free(network, (*used, *moved[:index])) for index, network in enumerate(moved)):
            return dict(zip(networks, moved, strict=True))
    return {}


def _with_number(network: IPv4Network, number: int) -> IPv4Network | None:
    """Return a private range with another number: 10.NUMBER.x.x, or else x.x.NUMBER.x.

    None for a public one, and where the number is not a part of the range's prefix.
    """
    octets = bytearray(network.network_address.packed)
    position = 1 if octets[0] == 10 else 2
    if not network.is_private or network.prefixlen < (position + 1) * _OCTET_BITS:
        return None
    octets[position] = number
    return IPv4Network((bytes(octets), network.prefixlen))


def _one_by_one(
    networks: Sequence[IPv4Network], used: Collection[IPv4Network]
) -> dict[IPv4Network, IPv4Network]:
    moved: dict[IPv4Network, IPv4Network] = {}
    # None may move to where another one of the lab stays.
    taken = [*used, *(network for network in networks if is_free(network, used))]
    for network in networks:
        if is_free(network, used):
            continue
        free = first_free(network.prefixlen, taken)
        if free is not None:
            moved[network] = free
            taken.append(free)
    return moved
