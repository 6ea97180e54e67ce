"""Tell why a node does not answer, from what this host sees of it.

The likeliest cause first, where the facts bear one out; then the facts. Pure: a
provider's Looker does the looking.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from stacklab.model.lab import NIC, Node
from stacklab.model.state import NodeState
from stacklab.tools.host_net import Lease, Link, Neighbour, Plug, Route, Rule
from stacklab.tools.knock import Door, Knock

_RULES_SHOWN = 12
# Between this host and a node; libvirt's own chains of FORWARD are not on that way.
_ON_OUR_WAY = re.compile(r"-A (?!LIBVIRT_FW|FORWARD\b)")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEvidence:
    """The cause in a few words ("" if none is likely), and the facts that it rests on."""

    cause: str = ""
    lines: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join(f"  {line}" for line in self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class NICView:
    """A NIC as declared, and its other end on this host; `bridge` is where its tap belongs."""

    nic: NIC
    network: str
    bridge: str
    plug: Plug | None = None
    tap: Link | None = None
    has_bridge: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A node as this host sees it.

    What could not be looked at is None or empty, and `why_not` says why.
    """

    node: Node
    title: str = "node"  # the provider's word and name for it
    state: NodeState | None = None
    reason: str = ""
    nics: tuple[NICView, ...] = ()
    is_looked_at: bool = False  # the interfaces of this host are known
    leases: tuple[Lease, ...] = ()
    dnsmasq: str = ""
    route: Route | None = None
    neighbour: Neighbour | None = None
    rules: tuple[Rule, ...] = ()
    knock: Knock | None = None
    console: tuple[str, ...] = ()
    console_path: Path | None = None
    why_not: tuple[str, ...] = field(default=())

    def on(self, network: str) -> NICView | None:
        """Return its NIC on that network."""
        return next((view for view in self.nics if view.nic.network == network), None)


def nic_cause(view: View, at: NICView) -> str:
    """Return what is wrong with a NIC's other end on this host; "" if nothing is."""
    node, device, tap, plug = view.node.name, at.nic.device, at.tap, at.plug
    if view.state not in (None, NodeState.RUNNING):
        return ""
    if view.state is not None and plug is None:
        return f"{device} is unplugged from {node}: its domain has no NIC {at.nic.mac}"
    if plug is not None and not plug.is_linked:
        return f"{device} of {node} has its cable pulled: its link is down in the domain"
    if not view.is_looked_at:
        return ""
    if at.bridge and not at.has_bridge:
        return f"bridge {at.bridge} of {at.network} is down or gone"
    if tap is None:
        return f"{device} of {node} has no tap on this host"
    if at.bridge and tap.master != at.bridge:
        is_on = tap.master or "none"
        return f"tap {tap.name} of {node}'s {device} is not on bridge {at.bridge}, but on {is_on}"
    if not tap.is_up:
        return f"tap {tap.name} of {node}'s {device} is down"
    return ""


def state_cause(view: View) -> str:
    """Return what a node does instead of running; "" while it runs, or nobody can tell."""
    if view.state in (None, NodeState.RUNNING):
        return ""
    return f"{view.node.name} is {view.state}" + (f" ({view.reason})" if view.reason else "")


def cause(view: View) -> str:
    """Return the first cause, of those that keep a node silent, that the facts bear out."""
    if not view.nics:
        return ""
    access = view.nics[0]
    return (
        state_cause(view)
        or nic_cause(view, access)
        or _on_the_way(view, access)
        or _at_its_door(view, access)
    )


def _on_the_way(view: View, access: NICView) -> str:
    name, nic = view.node.name, access.nic
    address, neighbour, tap = str(nic.address.ip), view.neighbour, access.tap
    if view.route and access.bridge and view.route.device != access.bridge:
        return f"this host sends to {address} by {view.route.device}, not by {access.bridge}"
    if neighbour and neighbour.mac and neighbour.mac != nic.mac:
        return f"another machine has {address}: {neighbour.mac} answers, not {name}'s {nic.mac}"
    if tap is not None and tap.received == 0:
        if not any(line for line in view.console):
            return f"{name} never sent a packet, nor wrote a word on its console: it did not boot"
        return f"{name} never sent a packet on {nic.device}: its network did not come up"
    other = next(
        (lease for lease in view.leases if lease.mac == nic.mac and lease.address != address), None
    )
    if other and not (neighbour and neighbour.mac):
        return f"{name}'s lease is for another address: {other.address}, not {address}"
    if (neighbour and neighbour.is_silent) and tap is not None:
        sent = f"{name} sent {tap.received} packets on {nic.device}"
        return (
            f"{sent}, but does not answer ARP for {address}: it has not that address, or it hangs"
        )
    return ""


def _at_its_door(view: View, access: NICView) -> str:
    name, neighbour = view.node.name, view.neighbour
    if view.knock is None:
        return ""
    arp = "answers ARP but " if neighbour and neighbour.mac == access.nic.mac else ""
    rule = next(
        (r for r in view.rules if r.refuses and r.packets and _ON_OUR_WAY.match(r.text)), None
    )
    match view.knock.door:
        case Door.REFUSED:
            return f"{name} {arp}refuses TCP 22: sshd is not up"
        case Door.NO_ANSWER | Door.UNREACHABLE if rule:
            return (
                f"a firewall rule of this host refuses packets: {rule.text} ({rule.packets} so far)"
            )
        case Door.NO_ANSWER if arp:
            return f"{name} {arp}not TCP 22: its firewall drops that, or it is too busy"
        case Door.UNREACHABLE if arp:
            return f"{name} {arp}turns TCP 22 away: its firewall rejects that"
        case Door.SILENT:
            return (
                f"{name} takes connections to TCP 22 but says nothing: "
                "sshd hangs, or the node is too busy"
            )
        case Door.OTHER:
            return f"{name}'s port 22 is not an sshd's: {view.knock.said}"
    return ""


def lines(view: View) -> Iterator[str]:
    """Return the facts, one a line."""
    node, nic = view.node, view.node.access
    address = str(nic.address.ip)
    state = "state unknown" if view.state is None else str(view.state)
    yield f"{view.title}: {state}" + (f" ({view.reason})" if view.reason else "")
    yield from (nic_line(nic_view) for nic_view in view.nics)
    network = view.nics[0].network if view.nics else nic.network
    for lease in view.leases:
        yield f"lease: {lease.address} to {lease.mac} on {network}"
    if not any(lease.mac == nic.mac for lease in view.leases):
        yield f"lease: none on {network} for {nic.mac}: it never asked, or nobody answered"
    if view.dnsmasq:
        yield f"dnsmasq of {network}: {view.dnsmasq}"
    if view.route:
        via = f" via {view.route.gateway}" if view.route.gateway else ""
        source = view.route.source or "no address"
        yield f"route to {address}: by {view.route.device}{via}, from {source}"
    if view.neighbour:
        mac = view.neighbour.mac or "nobody answers"
        yield f"ARP for {address}: {mac} ({view.neighbour.state.lower()})"
    elif view.route:
        yield f"ARP for {address}: not asked for"
    if view.knock:
        yield f"port 22 of {address}: {view.knock.door} ({view.knock.said})"
    yield from _rule_lines(view)
    yield from (f"not looked at: {why}" for why in view.why_not)
    yield f"console ({view.console_path}) of {node.name} ends with:"
    yield from [f"  | {line}" for line in view.console] or ["  | nothing"]


def _rule_lines(view: View) -> Iterator[str]:
    """Return the rules in the way: those that refused a packet, and those that may.

    Of libvirt's own only the first.
    """
    bridge = view.nics[0].bridge if view.nics else ""
    on_way = [rule for rule in view.rules if rule.refuses and _ON_OUR_WAY.match(rule.text)]
    in_way = [rule for rule in on_way if rule.packets or "-A LIBVIRT_" not in rule.text]
    for rule in in_way[:_RULES_SHOWN]:
        yield f"firewall of this host: {rule.text} ({rule.packets} so far)"
    if len(in_way) > _RULES_SHOWN:
        yield f"firewall of this host: and {len(in_way) - _RULES_SHOWN} more: sudo iptables-save -c"
    if view.rules and not in_way:
        yield (
            f"firewall of this host: {len(view.rules)} rules on {bridge}, "
            "none has refused a packet on the way there"
        )


def nic_line(at: NICView) -> str:
    """Return a NIC with its network, its tap and what went over it."""
    nic, plug, tap = at.nic, at.plug, at.tap
    head = f"NIC {nic.device}: {nic.mac} "
    if plug is None:
        return f"{head}is MISSING in the domain, to have {nic.address} on {at.network}"
    text = f"{head}on {at.network}, tap {plug.tap or '-'}, to have {nic.address}"
    if not plug.is_linked:
        text += "; its cable is PULLED"
    if tap is None:
        return text
    text += f"; tap on {tap.master or 'NO bridge'}, {'up' if tap.is_up else 'DOWN'}"
    return f"{text}, the node sent {tap.received} packets and was sent {tap.sent}"
