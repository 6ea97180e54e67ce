"""Commands that describe this host's side of a lab's networks, and parsers of their output. Pure.

iproute2 prints JSON (since Debian 10). The firewall is read by iptables-save, which also shows
the rules of an iptables that uses nftables.
"""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any

from stacklab.model.host_network import HostFirewallRule, Link, Neighbour, Plug, Route
from stacklab.process import Command, as_root

_LIMIT_S = 5.0
_COUNTED = re.compile(r"\[(\d+):\d+\] (-A .*)")


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


def parse_rules(text: str) -> tuple[HostFirewallRule, ...]:
    """Parse the rules in the output of `iptables-save -c`."""
    matches = (_COUNTED.fullmatch(line.strip()) for line in text.splitlines())
    return tuple(
        HostFirewallRule(text=match[2], packets=int(match[1])) for match in matches if match
    )


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
