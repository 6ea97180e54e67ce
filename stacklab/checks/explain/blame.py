"""Causes that can be to blame for a failure, each kind of trouble in a function of its own.

Every function returns a cause that is certain, or None. `packet_causes` puts them in order:
what explains more comes first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from stacklab.checks.expect import Effect, Outage
from stacklab.checks.explain.scene import Scene, SeenDevice
from stacklab.checks.explain.site import Observation
from stacklab.checks.kinds import Carrier
from stacklab.checks.result import Check, CheckKind, Reason
from stacklab.model.cause import Cause, CauseKind
from stacklab.model.lab import NIC, Node
from stacklab.providers import evidence

_NO_ARP = ("FAILED", "INCOMPLETE")  # states of a neighbour that has not answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A check from a node to another, with the NICs at both ends."""

    check: Check
    source: Node
    mine: NIC
    target: Node
    theirs: NIC

    @property
    def address(self) -> str:
        """The address that packets go to."""
        return str(self.theirs.address.ip)

    @property
    def is_tcp(self) -> bool:
        """True if it goes to the target's sshd, and not by ICMP."""
        return self.check.kind.traits.carrier is Carrier.TCP

    @property
    def ends(self) -> tuple[tuple[Node, NIC], tuple[Node, NIC]]:
        """Both ends, first the one that packets go to."""
        return (self.target, self.theirs), (self.source, self.mine)


def packet_causes(
    seen: Observation, outage: Outage, way: Way, reason: Reason
) -> Iterator[Cause | None]:
    """Yield what may be to blame for packets that did not come back, the surest first.

    A generator: whoever takes the first cause does not search for the others.
    """
    yield fault_cause(outage, way.check)
    for node, _ in way.ends:
        yield _state_cause(seen, node)
    for node, nic in way.ends:
        yield nic_cause(seen, outage, node, nic)
    # Where nothing at all came back, the packets' size is not to blame.
    if way.check.kind is CheckKind.MTU and reason is not Reason.NO_REPLY:
        for node, nic in way.ends:
            yield mtu_cause(seen, node, nic)
    yield _route_cause(seen, way)
    yield _address_taken(seen, way)
    yield _seen_by_host(seen, way)
    yield _service_cause(seen, way)
    yield from _firewall_causes(seen, way)
    # What loses some packets comes after all that stops every one.
    for node, nic in way.ends:
        yield _loss_cause(seen, node, nic)
    yield _no_arp_cause(seen, way)


def fault_cause(outage: Outage, check: Check) -> Cause | None:
    """Return the fault of lab.fault that cuts a check."""
    effect, fault = outage.effect(check)
    if effect is not Effect.CUT:
        return None
    return Cause(CauseKind.FAULT, f"lab.fault {fault}")


def _state_cause(seen: Observation, node: Node) -> Cause | None:
    """Return that a node does not run, if the host looked at it."""
    view = seen.views.get(node.name)
    if view is None:
        return None
    return evidence.state_cause(view)


def nic_cause(seen: Observation, outage: Outage, node: Node, nic: NIC | None) -> Cause | None:
    """Return what is wrong with a NIC itself, seen from this host or from its node.

    The host comes first: it sees why a NIC lacks its carrier, the node only that it does.
    """
    if nic is None:
        return None
    fault = outage.of_nic(node.name, nic.network)
    if fault:
        return Cause(CauseKind.FAULT, f"lab.fault {fault}")
    cause = _nic_cause_by_host(seen, node, nic)
    if cause is not None:
        return cause
    scene = seen.scene(node.name)
    if not scene.is_seen:
        return None
    return _nic_cause_by_node(scene, node, nic)


def _nic_cause_by_host(seen: Observation, node: Node, nic: NIC) -> Cause | None:
    """Return what is wrong with a NIC by what the host sees of it."""
    view = seen.views.get(node.name)
    if view is None:
        return None
    nic_on_host = view.on(nic.network)
    if nic_on_host is None:
        return None
    return evidence.nic_cause(view, nic_on_host)


def _nic_cause_by_node(scene: Scene, node: Node, nic: NIC) -> Cause | None:
    """Return what is wrong with a NIC by what its node says."""
    device = scene.devices.get(nic.device)
    if device is None:
        return Cause(CauseKind.NIC_MISSING, f"{node.name} lacks {nic.device}")
    # What a cloud made of the NIC (br-ex, vhost0) has to be up as well as the NIC itself.
    holder = scene.holder(nic)
    for name in (nic.device, holder):
        cause = _link_cause(node, name, scene.devices[name])
        if cause:
            return cause
    if str(nic.address) in scene.devices[holder].addresses:
        return None
    addresses = ", ".join(device.addresses) or "no address"
    text = f"{nic.device} of {node.name} has {addresses}, not {nic.address}"
    return Cause(CauseKind.WRONG_ADDRESS, text)


def _link_cause(node: Node, name: str, device: SeenDevice) -> Cause | None:
    """Return why nothing can leave a device; one that is down does not tell its carrier."""
    if not device.is_up:
        return Cause(CauseKind.NIC_DOWN, f"{name} is down on {node.name}")
    if not device.has_carrier:
        return Cause(CauseKind.NO_CARRIER, f"{name} has no carrier on {node.name}")
    return None


def mtu_cause(seen: Observation, node: Node, nic: NIC | None) -> Cause | None:
    """Return the wrong MTU of a NIC."""
    if nic is None:
        return None
    device = seen.scene(node.name).devices.get(nic.device)
    if device is None or device.mtu == nic.mtu:
        return None
    text = f"{nic.device} of {node.name} has an MTU of {device.mtu}, not {nic.mtu}"
    return Cause(CauseKind.WRONG_MTU, text)


def _route_cause(seen: Observation, way: Way) -> Cause | None:
    """Return the route by which the sender's packets leave by another NIC."""
    scene = seen.scene(way.source.name)
    route = scene.routes.get(way.address, "")
    if not route:
        return None
    for device in (way.mine.device, scene.holder(way.mine)):
        # Spaces around it: the device may be the route's last word, and eth1 is not eth10.
        if f" dev {device} " in f" {route} ":
            return None
    text = f"{way.source.name} sends to {way.address} wrongly: {route}"
    return Cause(CauseKind.WRONG_ROUTE, text)


def _neighbour(seen: Observation, way: Way) -> tuple[str, str]:
    """Return the MAC that answered the sender's ARP, and the state of that neighbour."""
    scene = seen.scene(way.source.name)
    return scene.neighbours.get(way.address, ("", ""))


def _address_taken(seen: Observation, way: Way) -> Cause | None:
    """Return the other machine that answers the sender's ARP for the target's address."""
    mac, _ = _neighbour(seen, way)
    if not mac or mac.lower() == way.theirs.mac:
        return None
    owner = f"{mac} answers, not {way.target.name}'s {way.theirs.mac}"
    return Cause(CauseKind.ADDRESS_TAKEN, f"another machine has {way.address}: {owner}")


def _seen_by_host(seen: Observation, way: Way) -> Cause | None:
    """Return why the target does not answer the host either, if that holds for this way."""
    view = seen.views.get(way.target.name)
    if view is None or way.target.name not in seen.unreached:
        return None
    mac, _ = _neighbour(seen, way)
    # The target answers this node's ARP: only its sshd can be what the host misses, too.
    if mac and not way.is_tcp:
        return None
    cause = evidence.cause(view)
    if cause is None:
        return None
    # An sshd that is down is so on all networks; all else is about the one that the host uses.
    is_everywhere = way.is_tcp and cause.kind is CauseKind.SSHD_DOWN
    is_same_network = way.check.network == way.target.access.network
    if is_everywhere or is_same_network:
        return cause
    return None


def _service_cause(seen: Observation, way: Way) -> Cause | None:
    """Return that the target runs, but does not answer what this check sends."""
    target = way.target.name
    scene = seen.scene(target)
    # Not `not scene.listens`: None means that the node did not tell.
    if way.is_tcp and scene.listens is False:
        text = f"sshd is not up on {target}: nothing listens on TCP 22"
        return Cause(CauseKind.SSHD_DOWN, text)
    is_echo = way.check.kind.traits.carrier is Carrier.ECHO
    if is_echo and scene.ignores_pings:
        text = f"{target} ignores pings (icmp_echo_ignore_all)"
        return Cause(CauseKind.PINGS_IGNORED, text)
    return None


def _firewall_causes(seen: Observation, way: Way) -> Iterator[Cause | None]:
    """Yield the rules that refuse the packets, at each of the four places that they pass."""
    protocol = Carrier.TCP if way.is_tcp else Carrier.ECHO
    at_target = (way.target, way.theirs, str(way.mine.address.ip))
    at_source = (way.source, way.mine, way.address)
    places = (
        (at_target, "input", False),
        (at_source, "output", False),
        (at_target, "output", True),
        (at_source, "input", True),
    )
    for (node, nic, peer), hook, is_reply in places:
        scene = seen.scene(node.name)
        rule = scene.drops(hook, protocol.value, nic, peer, is_reply=is_reply)
        if rule:
            text = f"a firewall rule of {node.name} refuses it: {rule}"
            yield Cause(CauseKind.NODE_FIREWALL, text)


def _loss_cause(seen: Observation, node: Node, nic: NIC) -> Cause | None:
    """Return the loss that netem makes at a NIC."""
    device = seen.scene(node.name).devices.get(nic.device)
    if device is None or not device.loss_percent:
        return None
    share = f"{device.loss_percent:g} % of what it sends (netem)"
    return Cause(CauseKind.LOSSY, f"{nic.device} of {node.name} loses {share}")


def _no_arp_cause(seen: Observation, way: Way) -> Cause | None:
    """Return that the target does not answer ARP: the least that can be said, so it comes last."""
    mac, state = _neighbour(seen, way)
    if mac or state not in _NO_ARP:
        return None
    return Cause(CauseKind.NO_ARP, f"{way.target.name} does not answer ARP for {way.address}")
