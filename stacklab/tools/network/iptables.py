"""Command lines of iptables that close this host to the nodes of a lab. Pure: nothing is run here.

A lab has one chain, to which INPUT leads first of all. What nodes may send goes back to INPUT, so
that the host's own rules still count; the rest is refused. Packets that the host forwards never
pass INPUT: these are left to libvirt.

The refusal is `admin-prohibited`, which a node's connect(2) returns as EHOSTUNREACH: unlike
ECONNREFUSED, which only the host itself can have sent.

All is done by iptables-restore, in one transaction: at no moment does half of it count.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from stacklab.model.lab import stable_hex

Argv = tuple[str, ...]

# For another program that changes rules at this moment.
_WAIT = ("--wait", "10")
# Whoever may not look may not change anything either.
LOOK: Argv = ("iptables", *_WAIT, "-S")
APPLY: Argv = ("iptables-restore", *_WAIT, "--noflush")
# Of the lab's networks themselves: libvirt's dnsmasq answers there.
_OF_NETWORK = (
    "-m conntrack --ctstate RELATED,ESTABLISHED",
    "-p icmp",
    "-p udp --dport 67",
    "-p udp --dport 53",
    "-p tcp --dport 53",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPort:
    """A TCP port of this host, at one of its addresses."""

    address: IPv4Address
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


def chain_of(lab: str) -> str:
    """Return the name of a lab's chain, of at most 28 characters."""
    return "stacklab-" + stable_hex(lab, digits=10)


def has_chain(lab: str, listing: str) -> bool:
    """Return True if the lab's chain, or a way to it, is in what LOOK has listed."""
    return chain_of(lab) in listing.split()


def close(
    lab: str,
    *,
    bridges: Sequence[str],
    hiding: Sequence[str],
    places: Iterable[HostPort],
    listing: str,
) -> str:
    """Return the input of APPLY that makes a lab's chain, or makes it anew, and puts it first.

    On `bridges` nodes reach what a lab needs, and `places`; on those that are `hiding` the host,
    which lacks an address there, nothing. `listing` is what LOOK has listed just before.
    """
    chain = chain_of(lab)
    lines = [f":{chain} - [0:0]", *_without_ways(lab, listing), f"-I INPUT -j {chain}"]
    places = tuple(places)
    for bridge in bridges:
        lines += [f"-A {chain} -i {bridge} {match} -j RETURN" for match in _OF_NETWORK]
        for place in places:
            match = f"-d {place.address} -p tcp --dport {place.port}"
            lines.append(f"-A {chain} -i {bridge} {match} -j RETURN")
        lines.append(f"-A {chain} -i {bridge} -j REJECT --reject-with icmp-admin-prohibited")
    lines += [f"-A {chain} -i {bridge} -j DROP" for bridge in hiding]
    return _transaction(lines)


def remove(lab: str, listing: str) -> str:
    """Return the input of APPLY that removes a lab's chain, which is in what LOOK has listed."""
    chain = chain_of(lab)
    return _transaction([*_without_ways(lab, listing), f"-F {chain}", f"-X {chain}"])


def _without_ways(lab: str, listing: str) -> list[str]:
    """Return a line for each rule of INPUT's that leads to the chain; it removes one."""
    way = f"INPUT -j {chain_of(lab)}"
    return [f"-D {way}" for line in listing.splitlines() if line.strip() == f"-A {way}"]


def _transaction(lines: Iterable[str]) -> str:
    return "\n".join(("*filter", *lines, "COMMIT", ""))
