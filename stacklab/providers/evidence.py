"""Tell why a node does not answer, from what this host sees of it.

First the likeliest cause, where the facts bear one out; then the facts themselves.
Pure: a provider's Looker collects the facts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from stacklab.model.cause import Cause, CauseKind
from stacklab.model.host_network import HostFirewallRule, Lease, Link, Neighbour, Plug, Route
from stacklab.model.lab import NIC, Node
from stacklab.model.state import NodeState
from stacklab.tools.knock import Door, Knock

_RULES_SHOWN = 12
# A rule that a packet from this host to a node meets. libvirt's own chains of FORWARD are for
# packets from one network to another.
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
    rules: tuple[HostFirewallRule, ...] = ()
    knock: Knock | None = None
    console: tuple[str, ...] = ()
    console_path: Path | None = None
    why_not: tuple[str, ...] = field(default=())

    def on(self, network: str) -> NICView | None:
        """Return its NIC on that network."""
        return next((view for view in self.nics if view.nic.network == network), None)


def nic_cause(view: View, at: NICView) -> Cause | None:
    """Return what is wrong with a NIC's other end on this host; None where nothing is."""
    if view.state not in (None, NodeState.RUNNING):
        return None
    return _plug_cause(view, at) or (_tap_cause(view, at) if view.is_looked_at else None)


def _plug_cause(view: View, at: NICView) -> Cause | None:
    """Return what the domain itself has wrong: no NIC, or one without its cable."""
    node, device, plug = view.node.name, at.nic.device, at.plug
    if plug is None:
        if view.state is None:
            return None  # libvirtd could not be asked: nobody knows that the NIC is gone
        text = f"{device} is unplugged from {node}: its domain does not have the NIC {at.nic.mac}"
        return Cause(CauseKind.NIC_UNPLUGGED, text)
    if plug.is_linked:
        return None
    text = f"{device} of {node} has its cable pulled: its link is down in the domain"
    return Cause(CauseKind.CABLE_PULLED, text)


def _tap_cause(view: View, at: NICView) -> Cause | None:
    """Return what is wrong with a NIC's bridge or tap."""
    node, device, tap = view.node.name, at.nic.device, at.tap
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
    # From the node outwards, and then along a packet's way from this host to the node's sshd:
    # a cause near the beginning explains all symptoms behind it.
    suspects = (_wrong_route, _address_taken, _silent_node, _other_lease, _no_arp, _at_its_door)
    likely = state_cause(view) or nic_cause(view, access)
    for suspect in suspects:
        likely = likely or suspect(view, access)
    return likely


def _wrong_route(view: View, access: NICView) -> Cause | None:
    if not view.route or not access.bridge or view.route.device == access.bridge:
        return None
    address = access.nic.address.ip
    text = f"this host sends to {address} by {view.route.device}, not by {access.bridge}"
    return Cause(CauseKind.HOST_ROUTE, text)


def _address_taken(view: View, access: NICView) -> Cause | None:
    nic, neighbour = access.nic, view.neighbour
    if not neighbour or not neighbour.mac or neighbour.mac == nic.mac:
        return None
    owner = f"{neighbour.mac} answers, not {view.node.name}'s {nic.mac}"
    return Cause(CauseKind.ADDRESS_TAKEN, f"another machine has {nic.address.ip}: {owner}")


def _silent_node(view: View, access: NICView) -> Cause | None:
    if access.tap is None or access.tap.received > 0:
        return None
    name = view.node.name
    # A kernel that booted has written to its console, whatever became of its network.
    if not any(view.console):
        text = f"{name} never sent a packet, nor wrote a word on its console: it did not boot"
        return Cause(CauseKind.NOT_BOOTED, text)
    text = f"{name} never sent a packet on {access.nic.device}: its network did not come up"
    return Cause(CauseKind.NETWORK_DOWN, text)


def _other_lease(view: View, access: NICView) -> Cause | None:
    if view.neighbour and view.neighbour.mac:
        return None  # it answers at the right address: an old lease does not matter
    nic = access.nic
    address = str(nic.address.ip)
    for lease in view.leases:
        if lease.mac == nic.mac and lease.address != address:
            addresses = f"{lease.address}, not {address}"
            text = f"{view.node.name}'s lease is for another address: {addresses}"
            return Cause(CauseKind.OTHER_LEASE, text)
    return None


def _no_arp(view: View, access: NICView) -> Cause | None:
    if not view.neighbour or not view.neighbour.is_silent or access.tap is None:
        return None
    nic = access.nic
    sent = f"{view.node.name} sent {access.tap.received} packets on {nic.device}"
    why = f"does not answer ARP for {nic.address.ip}: it has not that address, or it hangs"
    return Cause(CauseKind.NO_ARP, f"{sent}, but {why}")


def _at_its_door(view: View, access: NICView) -> Cause | None:
    """Return why sshd does not answer, from what became of a connection to its port."""
    if view.knock is None:
        return None
    name, door, neighbour = view.node.name, view.knock.door, view.neighbour
    # Who answers ARP is up: what does not come back was dropped by the node, or by this host.
    arp = "answers ARP but " if neighbour and neighbour.mac == access.nic.mac else ""
    if door in (Door.NO_ANSWER, Door.UNREACHABLE):
        return _host_firewall(view) or (_filtered(name, door, arp) if arp else None)
    match door:
        case Door.REFUSED:
            return Cause(CauseKind.SSHD_DOWN, f"{name} {arp}refuses TCP 22: sshd is not up")
        case Door.SILENT:
            why = "sshd hangs, or the node is too busy"
            text = f"{name} takes connections to TCP 22 but says nothing: {why}"
            return Cause(CauseKind.SSHD_HANGS, text)
        case Door.OTHER:
            text = f"{name}'s port 22 is not an sshd's: {view.knock.said}"
            return Cause(CauseKind.NOT_SSHD, text)
    return None


def _host_firewall(view: View) -> Cause | None:
    for rule in view.rules:
        if rule.refuses and rule.packets and _ON_OUR_WAY.match(rule.text):
            counted = f"{rule.text} ({rule.packets} so far)"
            text = f"a firewall rule of this host refuses packets: {counted}"
            return Cause(CauseKind.HOST_FIREWALL, text)
    return None


def _filtered(name: str, door: Door, arp: str) -> Cause:
    if door is Door.NO_ANSWER:
        text = f"{name} {arp}not TCP 22: its firewall drops that, or it is too busy"
    else:
        text = f"{name} {arp}turns TCP 22 away: its firewall rejects that"
    return Cause(CauseKind.SSHD_FILTERED, text)


def lines(view: View) -> Iterator[str]:
    """Return the facts, one a line, in the order of a packet's way to the node."""
    state = "state unknown" if view.state is None else str(view.state)
    reason = f" ({view.reason})" if view.reason else ""
    yield f"{view.title}: {state}{reason}"
    yield from map(nic_line, view.nics)
    yield from _lease_lines(view)
    yield from _way_lines(view)
    yield from _rule_lines(view)
    yield from (f"not looked at: {why}" for why in view.why_not)
    yield f"console ({view.console_path}) of {view.node.name} ends with:"
    yield from [f"  | {line}" for line in view.console] or ["  | nothing"]


def _lease_lines(view: View) -> Iterator[str]:
    nic = view.node.access
    network = view.nics[0].network if view.nics else nic.network
    for lease in view.leases:
        yield f"lease: {lease.address} to {lease.mac} on {network}"
    if not any(lease.mac == nic.mac for lease in view.leases):
        yield f"lease: none on {network} for {nic.mac}: it never asked, or nobody answered"
    if view.dnsmasq:
        yield f"dnsmasq of {network}: {view.dnsmasq}"


def _way_lines(view: View) -> Iterator[str]:
    """Return this host's route to the node, its ARP entry, and what its sshd's port did."""
    address, route, neighbour, knock = (
        view.node.access.address.ip,
        view.route,
        view.neighbour,
        view.knock,
    )
    if route:
        via = f" via {route.gateway}" if route.gateway else ""
        yield f"route to {address}: by {route.device}{via}, from {route.source or 'no address'}"
    if neighbour:
        mac = neighbour.mac or "nobody answers"
        yield f"ARP for {address}: {mac} ({neighbour.state.lower()})"
    elif route:
        yield f"ARP for {address}: not asked for"
    if knock:
        yield f"port 22 of {address}: {knock.door} ({knock.said})"


def _rule_lines(view: View) -> Iterator[str]:
    """Return the rules in the way: those that refused a packet, and those that may.

    libvirt's own rules are shown only if they refused one: they are many, and always there.
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
            f"firewall of this host: {len(view.rules)} rules on {bridge}; "
            "none of them has refused a packet on the way there"
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
