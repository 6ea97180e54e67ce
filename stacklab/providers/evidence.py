"""Tell why a node does not answer, from what this host sees of it.

First the likeliest cause, where the facts bear one out; then the facts themselves.
Pure: a provider's Looker collects the facts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from stacklab.model.cause import Cause, CauseKind
from stacklab.model.host_network import HostFirewallRule
from stacklab.providers.node_view import NICView, View
from stacklab.tools.network.knock import Door

_RULES_SHOWN = 12
# A rule that a packet from this host to a node meets. libvirt's own chains of FORWARD are for
# packets from one network to another.
_ON_OUR_WAY = re.compile(r"-A (?!LIBVIRT_FW|FORWARD\b)")
_LIBVIRT_S_OWN = "-A LIBVIRT_"

# What a connection to a node's port 22 tells. `arp` is empty, or says that the node answers ARP.
_DOOR_CAUSES: Mapping[Door, tuple[CauseKind, str]] = {
    # Only of a node that answers ARP: the packets get there, and are dropped.
    Door.NO_ANSWER: (
        CauseKind.SSHD_FILTERED,
        "{name} {arp}not TCP 22: its firewall drops that, or it is too busy",
    ),
    Door.UNREACHABLE: (
        CauseKind.SSHD_FILTERED,
        "{name} {arp}turns TCP 22 away: its firewall rejects that",
    ),
    Door.REFUSED: (
        CauseKind.SSHD_DOWN,
        "{name} {arp}refuses TCP 22: sshd is not up",
    ),
    Door.SILENT: (
        CauseKind.SSHD_HANGS,
        "{name} takes connections to TCP 22 but says nothing: sshd hangs, or the node is too busy",
    ),
    Door.OTHER: (
        CauseKind.NOT_SSHD,
        "{name}'s port 22 is not an sshd's: {said}",
    ),
}


_Suspect: TypeAlias = Callable[[View, NICView], Cause | None]


def nic_cause(view: View, at: NICView) -> Cause | None:
    """Return what is wrong with a NIC's other end on this host; None where nothing is."""
    if view.is_known_not_to_run:
        return None
    # The domain's own account comes first: a NIC that it lacks can't have a tap.
    likely = _plug_cause(view, at)
    if likely is None and view.is_looked_at:
        likely = _tap_cause(view, at)
    return likely


def _plug_cause(view: View, at: NICView) -> Cause | None:
    """Return what the domain itself has wrong: no NIC, or one without its cable."""
    node = view.node.name
    device = at.nic.device
    if at.plug is None:
        if view.state is None:
            return None  # libvirtd could not be asked: nobody knows that the NIC is gone
        text = f"{device} is unplugged from {node}: it does not have the NIC {at.nic.mac}"
        return Cause(CauseKind.NIC_UNPLUGGED, text)
    if at.plug.is_linked:
        return None
    text = f"{device} of {node} has its cable pulled: its link is down"
    return Cause(CauseKind.CABLE_PULLED, text)


def _tap_cause(view: View, at: NICView) -> Cause | None:
    """Return what is wrong with a NIC's bridge or tap."""
    node = view.node.name
    device = at.nic.device
    tap = at.tap
    if at.bridge and not at.has_bridge:
        text = f"bridge {at.bridge} of {at.network} is down or gone"
        return Cause(CauseKind.BRIDGE_DOWN, text)
    if tap is None:
        return Cause(CauseKind.TAP_MISSING, f"{device} of {node} has no tap on this host")
    name = f"tap {tap.name} of {node}'s {device}"
    if at.bridge and tap.master != at.bridge:
        actual = tap.master or "none"
        text = f"{name} is not on bridge {at.bridge}, but on {actual}"
        return Cause(CauseKind.TAP_ASTRAY, text)
    if not tap.is_up:
        return Cause(CauseKind.TAP_DOWN, f"{name} is down")
    return None


def state_cause(view: View) -> Cause | None:
    """Return what a domain does instead of running; None while it runs, or nobody can tell."""
    if not view.is_known_not_to_run:
        return None
    text = f"{view.node.name} is {view.state}{view.reason_in_brackets}"
    return Cause(CauseKind.NODE_STATE, text)


def cause(view: View) -> Cause | None:
    """Return why a node does not answer the host: the first cause that the evidence bears out."""
    if not view.nics:
        return None
    likely = state_cause(view)
    if likely is not None:
        return likely
    access = view.nics[0]
    for suspect in _SUSPECTS:
        likely = suspect(view, access)
        if likely is not None:
            return likely
    return None


def _wrong_route_cause(view: View, access: NICView) -> Cause | None:
    if not view.route or not access.bridge:
        return None
    if view.route.device == access.bridge:
        return None
    address = access.nic.address.ip
    text = f"this host sends to {address} by {view.route.device}, not by {access.bridge}"
    return Cause(CauseKind.HOST_ROUTE, text)


def _taken_address_cause(view: View, access: NICView) -> Cause | None:
    nic = access.nic
    if view.arp_mac in ("", nic.mac):
        return None
    owner = f"{view.arp_mac} answers, not {view.node.name}'s {nic.mac}"
    text = f"another machine has {nic.address.ip}: {owner}"
    return Cause(CauseKind.ADDRESS_TAKEN, text)


def _silent_node_cause(view: View, access: NICView) -> Cause | None:
    if access.tap is None or access.tap.received > 0:
        return None
    name = view.node.name
    # A kernel that booted has written to its console, whatever became of its network.
    has_booted = any(view.console)
    if not has_booted:
        text = f"{name} never sent a packet, nor wrote a word on its console: it did not boot"
        return Cause(CauseKind.NOT_BOOTED, text)
    text = f"{name} never sent a packet on {access.nic.device}: its network did not come up"
    return Cause(CauseKind.NETWORK_DOWN, text)


def _other_lease_cause(view: View, access: NICView) -> Cause | None:
    if view.arp_mac:
        return None  # it answers at the right address: an old lease does not matter
    nic = access.nic
    address = str(nic.address.ip)
    for lease in view.leases:
        if lease.mac == nic.mac and lease.address != address:
            addresses = f"{lease.address}, not {address}"
            text = f"{view.node.name}'s lease is for another address: {addresses}"
            return Cause(CauseKind.OTHER_LEASE, text)
    return None


def _no_arp_cause(view: View, access: NICView) -> Cause | None:
    if view.neighbour is None or access.tap is None:
        return None
    if not view.neighbour.is_silent:
        return None
    nic = access.nic
    sent = f"{view.node.name} sent {access.tap.received} packets on {nic.device}"
    why = f"does not answer ARP for {nic.address.ip}: it has not that address, or it hangs"
    return Cause(CauseKind.NO_ARP, f"{sent}, but {why}")


def _door_cause(view: View, access: NICView) -> Cause | None:
    """Return why sshd does not answer, from what became of a connection to its port."""
    if view.knock is None:
        return None
    door = view.knock.door
    # Who answers ARP is up: what does not come back was dropped by the node, or by this host.
    answers_arp = view.arp_mac == access.nic.mac
    if door in (Door.NO_ANSWER, Door.UNREACHABLE):
        refused_here = _host_firewall_cause(view)
        if refused_here is not None or not answers_arp:
            return refused_here
    if door not in _DOOR_CAUSES:
        return None  # open
    kind, words = _DOOR_CAUSES[door]
    text = words.format(
        name=view.node.name,
        arp="answers ARP but " if answers_arp else "",
        said=view.knock.said,
    )
    return Cause(kind, text)


def _host_firewall_cause(view: View) -> Cause | None:
    for rule in _rules_on_our_way(view):
        if rule.packets:
            counted = f"{rule.text} ({rule.packets} so far)"
            text = f"a firewall rule of this host refuses packets: {counted}"
            return Cause(CauseKind.HOST_FIREWALL, text)
    return None


def _rules_on_our_way(view: View) -> list[HostFirewallRule]:
    """Return the rules that refuse what this host sends to the node, or may refuse it."""
    return [rule for rule in view.rules if rule.refuses and _ON_OUR_WAY.match(rule.text)]


# From the node outwards, and then along a packet's way from this host to the node's sshd: a
# cause near the beginning explains all symptoms behind it.
_SUSPECTS: tuple[_Suspect, ...] = (
    nic_cause,
    _wrong_route_cause,
    _taken_address_cause,
    _silent_node_cause,
    _other_lease_cause,
    _no_arp_cause,
    _door_cause,
)


def lines(view: View) -> Iterator[str]:
    """Return the facts, one a line, in the order of a packet's way to the node."""
    state = "state unknown" if view.state is None else str(view.state)
    yield f"{view.title}: {state}{view.reason_in_brackets}"
    yield from map(nic_line, view.nics)
    yield from _lease_lines(view)
    yield from _route_lines(view)
    yield from _rule_lines(view)
    for why in view.why_not:
        yield f"not looked at: {why}"
    yield f"console ({view.console_path}) of {view.node.name} ends with:"
    for line in view.console or ("nothing",):
        yield f"  | {line}"


def _lease_lines(view: View) -> Iterator[str]:
    if not view.has_lease:
        return
    nic = view.node.access
    network = view.nics[0].network if view.nics else nic.network
    for lease in view.leases:
        yield f"lease: {lease.address} to {lease.mac} on {network}"
    macs = {lease.mac for lease in view.leases}
    if nic.mac not in macs:
        yield f"lease: none on {network} for {nic.mac}: it never asked, or nobody answered"
    if view.dnsmasq:
        yield f"dnsmasq of {network}: {view.dnsmasq}"


def _route_lines(view: View) -> Iterator[str]:
    """Return this host's route to the node, its ARP entry, and what its sshd's port did."""
    address = view.node.access.address.ip
    route = view.route
    neighbour = view.neighbour
    if route:
        gateway = f" via {route.gateway}" if route.gateway else ""
        source = route.source or "no address"
        yield f"route to {address}: by {route.device}{gateway}, from {source}"
    if neighbour:
        answer = neighbour.mac or "nobody answers"
        yield f"ARP for {address}: {answer} ({neighbour.state.lower()})"
    elif route:
        yield f"ARP for {address}: not asked for"
    if view.knock:
        yield f"port 22 of {address}: {view.knock.door} ({view.knock.said})"


def _rule_lines(view: View) -> Iterator[str]:
    """Return the rules in the way: those that refused a packet, and those that may.

    libvirt's own rules are shown only if they refused one: they are many, and always there.
    """
    in_way = []
    for rule in _rules_on_our_way(view):
        is_libvirt_s = _LIBVIRT_S_OWN in rule.text
        if rule.packets or not is_libvirt_s:
            in_way.append(rule)
    for rule in in_way[:_RULES_SHOWN]:
        yield f"firewall of this host: {rule.text} ({rule.packets} so far)"
    not_shown = len(in_way) - _RULES_SHOWN
    if not_shown > 0:
        yield f"firewall of this host: and {not_shown} more: sudo iptables-save -c"
    if view.rules and not in_way:
        bridge = view.nics[0].bridge if view.nics else ""
        yield (
            f"firewall of this host: {len(view.rules)} rules on {bridge}; "
            "none of them has refused a packet on the way there"
        )


def nic_line(at: NICView) -> str:
    """Return a NIC with its network, its tap and what went over it."""
    nic = at.nic
    tap = at.tap
    head = f"NIC {nic.device}: {nic.mac} "
    if at.plug is None:
        return f"{head}is MISSING, to have {nic.address} on {at.network}"
    tap_name = at.plug.tap or "-"
    text = f"{head}on {at.network}, tap {tap_name}, to have {nic.address}"
    if not at.plug.is_linked:
        text += "; its cable is PULLED"
    if tap is None:
        return text
    bridge = tap.master or "NO bridge"
    state = "up" if tap.is_up else "DOWN"
    # A tap counts from this host's side: what it received, the node sent.
    traffic = f"the node sent {tap.received} packets and was sent {tap.sent}"
    return f"{text}; tap on {bridge}, {state}, {traffic}"
