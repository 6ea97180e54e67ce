"""Readers of IPv4 addresses and address ranges."""

from __future__ import annotations

import contextlib
import re
from ipaddress import IPv4Address, IPv4Network

from stacklab.spec.form.values import Wrong, read_text, refuse_leading_zeros
from stacklab.spec.mistakes import quote

# Patterns of whole texts, as those of `values`: the JSON Schema uses them, too.
CIDR = r"[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}"
ADDRESS = r"[0-9]{1,3}(\.[0-9]{1,3}){3}"
# Of a network's prefix length; a /29 has room for the host and five nodes.
SMALLEST_PREFIX, LARGEST_PREFIX = 8, 29

# Ranges that no lab can use, and the reason.
_RESERVED = (
    (IPv4Network("0.0.0.0/8"), "means 'this host'"),
    (IPv4Network("127.0.0.0/8"), "is every host's own loopback"),
    (IPv4Network("169.254.0.0/16"), "is for link-local addresses"),
    (IPv4Network("224.0.0.0/4"), "is for multicast"),
    (IPv4Network("240.0.0.0/4"), "is reserved"),
)


def read_cidr(value: object) -> IPv4Network:
    """Return an address range that a lab's network can have."""
    return _read_range(value, "the host and nodes", f"/{LARGEST_PREFIX} at least; /24 is usual")


def read_pool(value: object) -> IPv4Network:
    """Return a range of addresses that a cloud gives out by itself."""
    return _read_range(value, "a cloud to give addresses from", f"/{LARGEST_PREFIX} at least")


def _read_range(value: object, user: str, right: str) -> IPv4Network:
    text = read_text(value)
    network = _parse_network(text)
    # Compared as text: 192.168.150.1/24 was read without its host bits.
    if str(network.network_address) != text.partition("/")[0]:
        raise Wrong(f"{text} has host bits set", f"write {network}")
    if network.prefixlen < SMALLEST_PREFIX:
        # 10.0.0.0/8 is the widest range that anybody can have for private use.
        raise Wrong(f"{text} is too wide", f"/{SMALLEST_PREFIX} at most; /24 holds 253 nodes")
    if network.prefixlen > LARGEST_PREFIX:
        raise Wrong(f"{text} is too small for {user}", right)
    for reserved, reason in _RESERVED:
        if network.overlaps(reserved):
            raise Wrong(
                f"{text} lies in {reserved}, which {reason}",
                "e.g. 192.168.150.0/24 or 10.150.0.0/24",
            )
    return network


def _parse_network(text: str) -> IPv4Network:
    if re.fullmatch(ADDRESS, _plain_address(text)):
        raise Wrong(f"{quote(text)} lacks a prefix length", f"write {_plain_address(text)}/24")
    example = "e.g. 192.168.150.0/24"
    if ":" in text:
        raise Wrong(f"{quote(text)} is not IPv4", f"IPv6 networks are not supported; {example}")
    # IPv4Network would take 10.0.0.0/255.0.0.0 and other forms that the JSON Schema refuses.
    if re.fullmatch(CIDR, text):
        with contextlib.suppress(ValueError):
            return IPv4Network(text, strict=False)
    if _is_range(_plain_address(text)):
        refuse_leading_zeros(text, _plain_address(text))
    raise Wrong(f"{quote(text)} is not an address range", example)


def _plain_address(text: str) -> str:
    """Return an address, with or without a prefix length, whose numbers have no zeros in front."""
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", text)


def _is_range(text: str) -> bool:
    try:
        IPv4Network(text, strict=False)
    except ValueError:
        return False
    return True


def read_address(value: object) -> IPv4Address:
    """Return an address, which is written without a prefix length: its network has that."""
    text = read_text(value)
    bare, slash, _ = text.partition("/")
    try:
        address = IPv4Address(bare)
    except ValueError:
        if _is_range(_plain_address(bare)):
            refuse_leading_zeros(bare, _plain_address(bare))
        raise Wrong(f"{quote(text)} is not an IPv4 address", "e.g. 192.168.150.10") from None
    if slash:
        raise Wrong(f"{quote(text)} has a prefix length, which only networks have", f"write {bare}")
    return address
