"""This host's side of a lab's networks: interfaces, ARP, routes, leases and firewall rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_REFUSES = re.compile(r"-j (DROP|REJECT)\b")
_NO_ANSWER = ("FAILED", "INCOMPLETE")  # of the kernel's states of a neighbour


@dataclass(frozen=True, slots=True, kw_only=True)
class Plug:
    """A domain's NIC in libvirt's XML; `is_linked` is False if its cable is unplugged."""

    mac: str
    network: str  # libvirt's name for it; "" for a bridge of the host's own
    bridge: str
    tap: str  # "" while the domain is off
    is_linked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """An address that a network's DHCP server has given out."""

    mac: str
    address: str
    hostname: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An interface of the host; what a guest sends is received by its tap."""

    name: str
    master: str = ""  # the bridge that it is a port of
    mac: str = ""
    is_up: bool = True
    has_carrier: bool = True
    # Packets, as the host counts them.
    received: int = 0
    sent: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """An entry of the ARP table."""

    address: str
    device: str
    mac: str  # "" until somebody has answered
    state: str  # as `ip neigh` writes it: REACHABLE, STALE, FAILED, ...

    @property
    def is_silent(self) -> bool:
        """Return True if ARP asked for the address and nobody answered."""
        return not self.mac and self.state in _NO_ANSWER


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The way by which the host sends to an address."""

    device: str
    source: str = ""
    gateway: str = ""  # "" where the address is on the link itself


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFirewallRule:
    """A firewall rule, and how many packets it has seen."""

    text: str
    packets: int

    @property
    def refuses(self) -> bool:
        """Return True if it drops or rejects packets."""
        return _REFUSES.search(self.text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state of the host's network; `why_not` names what could not be read, and the reason."""

    links: Mapping[str, Link] = field(default_factory=dict)
    neighbours: tuple[Neighbour, ...] = ()
    rules: tuple[HostFirewallRule, ...] = ()
    why_not: tuple[str, ...] = ()

    def neighbour(self, address: str) -> Neighbour | None:
        """Return the ARP entry of an address, if there is one."""
        for neighbour in self.neighbours:
            if neighbour.address == address:
                return neighbour
        return None

    def tap_of(self, mac: str) -> Link | None:
        """Return the tap of the NIC with that MAC: libvirt replaces its first byte by fe."""
        # A bridge without a MAC of its own has that of one of its taps.
        bridges = {link.master for link in self.links.values()}
        mac_of_tap = f"fe{mac[2:]}"
        for link in self.links.values():
            if link.mac == mac_of_tap and link.name not in bridges:
                return link
        return None

    def rules_on(self, bridge: str) -> tuple[HostFirewallRule, ...]:
        """Return the rules that name a bridge, and those that refuse packets of any interface."""
        rules = []
        for rule in self.rules:
            is_for_any = re.search(r" (-i|-o) ", rule.text) is None
            if bridge in rule.text.split() or (rule.refuses and is_for_any):
                rules.append(rule)
        return tuple(rules)
