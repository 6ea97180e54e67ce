"""Commands that describe this host's side of a lab's networks, and parsers of their output. Pure.

iproute2 prints JSON (since Debian 10). The firewall is read by iptables-save, which also shows
the rules of an iptables that uses nftables.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from stacklab.model.host_network import HostFirewallRule, Link, Neighbour, Plug, Route
from stacklab.process.command import Command, as_root
from stacklab.tools.libvirt.xml import child_attribute, interface_elements

_LIMIT_S = 5.0
# `[PACKETS:BYTES] -A CHAIN ...`
_COUNTED = re.compile(r"\[(\d+):\d+\] (-A .*)")


def links() -> Command:
    """List every interface with its bridge and its counters."""
    return _look_command(("ip", "-json", "-s", "link", "show"), "this host's interfaces")


def neighbours() -> Command:
    """List the ARP table."""
    return _look_command(("ip", "-json", "-4", "neigh", "show"), "this host's neighbours")


def route(address: str) -> Command:
    """Ask by which way the host sends to an address."""
    return _look_command(("ip", "-json", "-4", "route", "get", address), f"the route to {address}")


def firewall() -> Command:
    """List every firewall rule with its counters, which only root may do."""
    argv = as_root(("iptables-save", "-c"))
    return _look_command(argv, "this host's firewall")


def _look_command(argv: Sequence[str], what: str) -> Command:
    # A user's PATH may lack sbin.
    users_path = os.environ.get("PATH", "/usr/bin:/bin")
    return Command(
        argv=tuple(argv),
        what=f"looking at {what}",
        timeout_s=_LIMIT_S,
        env={"PATH": f"{users_path}:/usr/sbin:/sbin"},
    )


def parse_links(text: str) -> dict[str, Link]:
    """Parse `ip -json -s link show`."""
    links = {}
    for entry in _parse_entries(text):
        link = _parse_link(entry)
        links[link.name] = link
    return links


def _parse_link(entry: Mapping[str, Any]) -> Link:
    # Old kernels have counters of 32 bits only, and iproute2 then prints no stats64.
    counters = entry.get("stats64") or entry.get("stats") or {}
    received = counters.get("rx") or {}
    sent = counters.get("tx") or {}
    flags = entry.get("flags") or ()
    return Link(
        name=_word(entry, "ifname"),
        master=_word(entry, "master"),
        mac=_word(entry, "address"),
        is_up="UP" in flags,
        has_carrier="LOWER_UP" in flags,
        received=int(received.get("packets", 0)),
        sent=int(sent.get("packets", 0)),
        dropped=int(received.get("dropped", 0)) + int(sent.get("dropped", 0)),
    )


def parse_neighbours(text: str) -> tuple[Neighbour, ...]:
    """Parse `ip -json neigh show`."""
    neighbours = []
    for entry in _parse_entries(text):
        # A list, because a state is a set of bits: REACHABLE, or NOARP PERMANENT.
        states = entry.get("state") or ()
        neighbour = Neighbour(
            address=_word(entry, "dst"),
            device=_word(entry, "dev"),
            mac=_word(entry, "lladdr"),
            state=" ".join(map(str, states)),
        )
        neighbours.append(neighbour)
    return tuple(neighbours)


def parse_route(text: str) -> Route | None:
    """Parse `ip -json route get`; return None if there is no route."""
    entries = _parse_entries(text)
    if not entries:
        return None
    entry = entries[0]
    return Route(
        device=_word(entry, "dev"),
        source=_word(entry, "prefsrc"),
        gateway=_word(entry, "gateway"),
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
    for interface in interface_elements(domain_xml):
        plug = Plug(
            mac=child_attribute(interface, "mac", "address").lower(),
            network=child_attribute(interface, "source", "network"),
            bridge=child_attribute(interface, "source", "bridge"),
            tap=child_attribute(interface, "target", "dev"),
            is_linked=child_attribute(interface, "link", "state") != "down",  # absent: it is up
        )
        plugs.append(plug)
    return tuple(plugs)


def _word(entry: Mapping[str, Any], name: str) -> str:
    """Return a field as text; "" if it is not there."""
    return str(entry.get(name, ""))


def _parse_entries(text: str) -> list[dict[str, Any]]:
    """Return the objects in a JSON list; [] for any other text."""
    try:
        data = json.loads(text or "[]")
    except ValueError:
        return []
    if not isinstance(data, list):
        return []
    return [entry for entry in data if isinstance(entry, dict)]
