"""Tell why a node does not answer, from what this host sees of it.

The likeliest cause first, where the facts bear one out; then the facts. Pure: a
provider's Looker does the looking.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from stacklab.model.cause import Cause, CauseKind
from stacklab.model.lab import NIC, Node
from stacklab.model.state import NodeState
from stacklab.tools.host.net import Lease, Link, Neighbour, Plug, Route, Rule
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


def nic_cause(view: View, at: NICView) -> Cause | None:
    """Return what is wrong with a NIC's other end on this host; None where nothing is."""
    node, device, tap, plug = view.node.name, at.nic.device, at.tap, at.plug
    if view.state not in (None, NodeState.RUNNING):
        return None
    if view.state is not None and plug is None:
        text = f"{device} is unplugged from {node}: its domain has no NIC {at.nic.mac}"
        return Cause(CauseKind.NIC_UNPLUGGED, text)
    if plug is not None and not plug.is_linked:
        text = f"{device} of {node} has its cable pulled: its link is down in the domain"
        return Cause(CauseKind.CABLE_PULLED, text)
    if not view.is_looked_at:
        return None
    if at.bridge and not at.has_bridge:
        text = f"bridge {at.bridge} of {at.network} is down or gone"
        return Cause(CauseKind.BRIDGE_DOWN, text)
    if tap is None:
        return Cause(CauseKind.TAP_MISSING, f"{device} of {node} has no tap on this host")
    name = f"tap {tap.name} of {node}'s {device}"
    if at.bridge and tap.master != at.bridge:
        text = f"{name} is not on bridge {at.bridge}, but on {tap.master or 'none'}"
        return Cause(CauseKind.TAP_ASTRAY, text)
    if not tap.is_up:
        return Cause(CauseKind.TAP_DOWN, f"{name} is down")
    return None


def state_cause(view: View) -> Cause | None:
    """Return what a domain does instead of running; None while it runs, or nobody can tell."""
    if view.state in (None, NodeState.RUNNING):
        return None
    reason = f" ({view.reason})" if view.reason else ""
    return Cause(CauseKind.NODE_STATE, f"{view.node.name} is {view.state}{reason}")


def cause(view: View) -> Cause | None:
    """Return why a node does not answer the host: the first cause that the evidence bears out."""
    if not view.nics:
        return None
    access = view.nics[0]
    return (
        state_cause(view)
        or nic_cause(view, access)
        or _on_the_way(view, access)
        or _at_its_door(view, access)
    )


def _on_the_way(view: View, access: NICView) -> Cause | None:
    name, nic = view.node.name, access.nic
    address, neighbour, tap = str(nic.address.ip), view.neighbour, access.tap
    if view.route and access.bridge and view.route.device != access.bridge:
        text = f"this host sends to {address} by {view.route.device}, not by {access.bridge}"
        return Cause(CauseKind.HOST_ROUTE, text)
    if neighbour and neighbour.mac and neighbour.mac != nic.mac:
        owner = f"{neighbour.mac} answers, not {name}'s {nic.mac}"
        return Cause(CauseKind.ADDRESS_TAKEN, f"another machine has {address}: {owner}")
    if tap is not None and tap.received == 0:
        if not any(line for line in view.console):
            text = f"{name} never sent a packet, nor wrote a word on its console: it did not boot"
            return Cause(CauseKind.NOT_BOOTED, text)
        text = f"{name} never sent a packet on {nic.device}: its network did not come up"
        return Cause(CauseKind.NETWORK_DOWN, text)
    other = next(
        (lease for lease in view.leases if lease.mac == nic.mac and lease.address != address), None
    )
    if other and not (neighbour and neighbour.mac):
        text = f"{name}'s lease is for another address: {other.address}, not {address}"
        return Cause(CauseKind.OTHER_LEASE, text)
    if (neighbour and neighbour.is_silent) and tap is not None:
        sent = f"{name} sent {tap.received} packets on {nic.device}"
        why = f"does not answer ARP for {address}: it has not that address, or it hangs"
        return Cause(CauseKind.NO_ARP, f"{sent}, but {why}")
    return None


def _at_its_door(view: View, access: NICView) -> Cause | None:
    name, neighbour = view.node.name, view.neighbour
    if view.knock is None:
        return None
    arp = "answers ARP but " if neighbour and neighbour.mac == access.nic.mac else ""
    rule = next(
        (r for r in view.rules if r.refuses and r.packets and _ON_OUR_WAY.match(r.text)), None
    )
    match view.knock.door:
        case Door.REFUSED:
            return Cause(CauseKind.SSHD_DOWN, f"{name} {arp}refuses TCP 22: sshd is not up")
        case Door.NO_ANSWER | Door.UNREACHABLE if rule:
            counted = f"{rule.text} ({rule.packets} so far)"
            text = f"a firewall rule of this host refuses packets: {counted}"
            return Cause(CauseKind.HOST_FIREWALL, text)
        case Door.NO_ANSWER if arp:
            text = f"{name} {arp}not TCP 22: its firewall drops that, or it is too busy"
            return Cause(CauseKind.SSHD_FILTERED, text)
        case Door.UNREACHABLE if arp:
            text = f"{name} {arp}turns TCP 22 away: its firewall rejects that"
            return Cause(CauseKind.SSHD_FILTERED, text)
        case Door.SILENT:
            why = "sshd hangs, or the node is too busy"
            text = f"{name} takes connections to TCP 22 but says nothing: {why}"
            return Cause(CauseKind.SSHD_HANGS, text)
        case Door.OTHER:
            text = f"{name}'s port 22 is not an sshd's: {view.knock.said}"
            return Cause(CauseKind.NOT_SSHD, text)
    return None


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
