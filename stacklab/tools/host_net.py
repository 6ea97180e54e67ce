"""The host's side of a lab's networks: command lines that only look, and what they say. Pure.

iproute2 answers in JSON (since Debian 10), the firewall in iptables-save's lines, which
name a bridge by its interface; where iptables is nft's, both show the same rules.
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
    """A domain's NIC as libvirt has it; `is_linked` is whether its cable is in."""

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
    """An interface of the host's; a tap receives what its guest sends."""

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
    """Who answers for an address, as far as ARP knows."""

    address: str
    device: str
    mac: str
    state: str

    @property
    def is_silent(self) -> bool:
        """Whether it was asked for, and nobody answered."""
        return not self.mac and self.state in _NO_ANSWER


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How the host would send to an address."""

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
        """Whether it keeps packets from going on."""
        return _REFUSES.search(self.text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What the host's network looked like; `why_not` is what could not be looked at, and why."""

    links: Mapping[str, Link] = field(default_factory=dict)
    neighbours: tuple[Neighbour, ...] = ()
    rules: tuple[Rule, ...] = ()
    why_not: tuple[str, ...] = ()

    def neighbour(self, address: str) -> Neighbour | None:
        """Who answers for an address."""
        return next((each for each in self.neighbours if each.address == address), None)

    def tap_of(self, mac: str) -> Link | None:
        """The tap of the NIC with that MAC, by the MAC that libvirt gives taps: fe and the rest."""
        bridges = {
            each.master for each in self.links.values()
        }  # without a MAC of their own they take a tap's
        taps = (each for each in self.links.values() if each.name not in bridges)
        return next((each for each in taps if each.mac == f"fe{mac[2:]}"), None)

    def rules_on(self, bridge: str) -> tuple[Rule, ...]:
        """Which rules name that bridge, or hold for every interface and refuse."""
        return tuple(
            rule
            for rule in self.rules
            if bridge in rule.text.split()
            or (rule.refuses and not re.search(r" (-i|-o) ", rule.text))
        )


def links() -> Command:
    """Every interface with its bridge and its counters."""
    return _look(("ip", "-json", "-s", "link", "show"), "this host's interfaces")


def neighbours() -> Command:
    """Who answers for which address."""
    return _look(("ip", "-json", "-4", "neigh", "show"), "this host's neighbours")


def route(address: str) -> Command:
    """How the host would send to an address."""
    return _look(("ip", "-json", "-4", "route", "get", address), f"the route to {address}")


def firewall() -> Command:
    """Every rule with its counters; only root may ask."""
    return _look(as_root(("iptables-save", "-c")), "this host's firewall")


def _look(argv: Sequence[str], what: str) -> Command:
    # A user's PATH may be without sbin.
    path = f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"
    return Command(
        argv=tuple(argv), what=f"looking at {what}", timeout_s=_LIMIT_S, env={"PATH": path}
    )


def parse_links(text: str) -> dict[str, Link]:
    """Read `ip -json -s link show`."""
    found = {}
    for each in _entries(text):
        counters = each.get("stats64") or each.get("stats") or {}
        rx, tx = counters.get("rx") or {}, counters.get("tx") or {}
        flags = each.get("flags") or ()
        name = str(each.get("ifname", ""))
        found[name] = Link(
            name=name,
            master=str(each.get("master", "")),
            mac=str(each.get("address", "")),
            is_up="UP" in flags,
            has_carrier="LOWER_UP" in flags,
            received=int(rx.get("packets", 0)),
            sent=int(tx.get("packets", 0)),
            dropped=int(rx.get("dropped", 0)) + int(tx.get("dropped", 0)),
        )
    return found


def parse_neighbours(text: str) -> tuple[Neighbour, ...]:
    """Read `ip -json neigh show`."""
    return tuple(
        Neighbour(
            address=str(each.get("dst", "")),
            device=str(each.get("dev", "")),
            mac=str(each.get("lladdr", "")),
            state=" ".join(map(str, each.get("state") or ())),
        )
        for each in _entries(text)
    )


def parse_route(text: str) -> Route | None:
    """Read `ip -json route get`."""
    for each in _entries(text):
        return Route(
            device=str(each.get("dev", "")),
            source=str(each.get("prefsrc", "")),
            gateway=str(each.get("gateway", "")),
        )
    return None


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Read `iptables-save -c`, of which only the rules themselves count."""
    matches = (_COUNTED.fullmatch(line.strip()) for line in text.splitlines())
    return tuple(Rule(text=match[2], packets=int(match[1])) for match in matches if match)


def parse_plugs(domain_xml: str) -> tuple[Plug, ...]:
    """Read a domain's NICs out of its XML; the bridge and the tap are there while it runs."""
    found = []
    for interface in ET.fromstring(domain_xml).iterfind("devices/interface"):
        parts = {name: interface.find(name) for name in ("mac", "source", "target", "link")}
        at = {name: part.attrib if part is not None else {} for name, part in parts.items()}
        found.append(
            Plug(
                mac=at["mac"].get("address", "").lower(),
                network=at["source"].get("network", ""),
                bridge=at["source"].get("bridge", ""),
                tap=at["target"].get("dev", ""),
                is_linked=at["link"].get("state", "up") != "down",
            )
        )
    return tuple(found)


def _entries(text: str) -> list[dict[str, Any]]:
    """The objects of a list in JSON; none where it is something else."""
    try:
        data = json.loads(text or "[]")
    except ValueError:
        return []
    return [each for each in data if isinstance(each, dict)] if isinstance(data, list) else []
