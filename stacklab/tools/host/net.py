"""Commands that describe this host's side of a lab's networks, and parsers of their output. Pure.

iproute2 prints JSON (since Debian 10). The firewall is read by iptables-save, which also shows
the rules of an iptables that uses nftables.
"""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stacklab.process import Command, as_root

_LIMIT_S = 5.0
_COUNTED = re.compile(r"\[(\d+):\d+\] (-A .*)")
_REFUSES = re.compile(r"-j (DROP|REJECT)\b")
_NO_ANSWER = ("FAILED", "INCOMPLETE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plug:
    """A domain's NIC in libvirt's XML; `is_linked` is False if its cable is unplugged."""

    mac: str
    network: str
    bridge: str
    tap: str
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
    master: str = ""
    mac: str = ""
    is_up: bool = True
    has_carrier: bool = True
    received: int = 0
    sent: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """An entry of the ARP table."""

    address: str
    device: str
    mac: str
    state: str

    @property
    def is_silent(self) -> bool:
        """Return True if ARP asked for the address and nobody answered."""
        return not self.mac and self.state in _NO_ANSWER


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The way by which the host sends to an address."""

    device: str
    source: str = ""
    gateway: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
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
    rules: tuple[Rule, ...] = ()
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
        for link in self.links.values():
            if link.mac == f"fe{mac[2:]}" and link.name not in bridges:
                return link
        return None

    def rules_on(self, bridge: str) -> tuple[Rule, ...]:
        """Return the rules that name a bridge, and those that refuse packets of any interface."""
        rules = []
        for rule in self.rules:
            is_for_any = re.search(r" (-i|-o) ", rule.text) is None
            if bridge in rule.text.split() or (rule.refuses and is_for_any):
                rules.append(rule)
        return tuple(rules)


def links() -> Command:
    """List every interface with its bridge and its counters."""
    return _look(("ip", "-json", "-s", "link", "show"), "this host's interfaces")


def neighbours() -> Command:
    """List the ARP table."""
    return _look(("ip", "-json", "-4", "neigh", "show"), "this host's neighbours")


def route(address: str) -> Command:
    """Ask by which way the host sends to an address."""
    return _look(("ip", "-json", "-4", "route", "get", address), f"the route to {address}")


def firewall() -> Command:
    """List every firewall rule with its counters, which only root may do."""
    return _look(as_root(("iptables-save", "-c")), "this host's firewall")


def _look(argv: Sequence[str], what: str) -> Command:
    # A user's PATH may lack sbin.
    path = f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"
    return Command(
        argv=tuple(argv), what=f"looking at {what}", timeout_s=_LIMIT_S, env={"PATH": path}
    )


def parse_links(text: str) -> dict[str, Link]:
    """Parse `ip -json -s link show`."""
    links = {}
    for entry in _entries(text):
        counters = entry.get("stats64") or entry.get("stats") or {}
        rx, tx = counters.get("rx") or {}, counters.get("tx") or {}
        flags = entry.get("flags") or ()
        name = str(entry.get("ifname", ""))
        links[name] = Link(
            name=name,
            master=str(entry.get("master", "")),
            mac=str(entry.get("address", "")),
            is_up="UP" in flags,
            has_carrier="LOWER_UP" in flags,
            received=int(rx.get("packets", 0)),
            sent=int(tx.get("packets", 0)),
            dropped=int(rx.get("dropped", 0)) + int(tx.get("dropped", 0)),
        )
    return links


def parse_neighbours(text: str) -> tuple[Neighbour, ...]:
    """Parse `ip -json neigh show`."""
    return tuple(
        Neighbour(
            address=str(entry.get("dst", "")),
            device=str(entry.get("dev", "")),
            mac=str(entry.get("lladdr", "")),
            state=" ".join(map(str, entry.get("state") or ())),
        )
        for entry in _entries(text)
    )


def parse_route(text: str) -> Route | None:
    """Parse `ip -json route get`; return None if there is no route."""
    entries = _entries(text)
    if not entries:
        return None
    entry = entries[0]
    return Route(
        device=str(entry.get("dev", "")),
        source=str(entry.get("prefsrc", "")),
        gateway=str(entry.get("gateway", "")),
    )


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Parse the rules in the output of `iptables-save -c`."""
    matches = (_COUNTED.fullmatch(line.strip()) for line in text.splitlines())
    return tuple(Rule(text=match[2], packets=int(match[1])) for match in matches if match)


def parse_plugs(domain_xml: str) -> tuple[Plug, ...]:
    """Parse a domain's NICs in its XML; bridge and tap are there only while it runs."""
    plugs = []
    for interface in ET.fromstring(domain_xml).iterfind("devices/interface"):
        plug = Plug(
            mac=_attribute(interface, "mac", "address").lower(),
            network=_attribute(interface, "source", "network"),
            bridge=_attribute(interface, "source", "bridge"),
            tap=_attribute(interface, "target", "dev"),
            is_linked=_attribute(interface, "link", "state") != "down",  # absent: it is up
        )
        plugs.append(plug)
    return tuple(plugs)


def _attribute(interface: ET.Element, name: str, attribute: str) -> str:
    element = interface.find(name)
    return "" if element is None else element.get(attribute, "")


def _entries(text: str) -> list[dict[str, Any]]:
    """Return the objects in a JSON list; [] for any other text."""
    try:
        data = json.loads(text or "[]")
    except ValueError:
        return []
    if not isinstance(data, list):
        return []
    return [entry for entry in data if isinstance(entry, dict)]
