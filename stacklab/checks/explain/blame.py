"""What can be to blame for a failure, each kind of trouble in a function of its own.

Every function returns a cause that is certain, or None. `packets` puts them in order:
what explains more comes first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from stacklab.checks.expect import Effect, Outage
from stacklab.checks.explain.scene import Device, Scene
from stacklab.checks.explain.site import Site
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
    def ends(self) -> tuple[tuple[Node, NIC], tuple[Node, NIC]]:
        """Both ends, first the one that packets go to."""
        return (self.target, self.theirs), (self.source, self.mine)


def packets(seen: Site, outage: Outage, way: Way, reason: Reason) -> Iterator[Cause | None]:
    """Yield what may be to blame for packets that did not come back, the surest first."""
    carrier = way.check.kind.traits.carrier
    yield fault(outage, way.check)
    for node, _ in way.ends:
        view = seen.views.get(node.name)
        yield evidence.state_cause(view) if view else None
    for node, end in way.ends:
        yield nic(seen, outage, node, end)
    # Where nothing at all came back, the packets' size is not to blame.
    if way.check.kind is CheckKind.MTU and reason is not Reason.NO_REPLY:
        for node, end in way.ends:
            yield mtu(seen, node, end)
    yield _route(seen, way)
    yield _address_taken(seen, way)
    yield _seen_by_host(seen, way)
    there = seen.scene(way.target.name)
    if carrier is Carrier.TCP and there.listens is False:
        text = f"sshd is not up on {way.target.name}: nothing listens on TCP 22"
        yield Cause(CauseKind.SSHD_DOWN, text)
    if carrier is Carrier.ECHO and there.ignores_pings:
        text = f"{way.target.name} ignores pings (icmp_echo_ignore_all)"
        yield Cause(CauseKind.PINGS_IGNORED, text)
    yield from _firewalls(seen, way)
    for node, end in way.ends:
        yield _loss(seen, node, end)
    yield _no_arp(seen, way)


def fault(outage: Outage, check: Check) -> Cause | None:
    """Return the fault of lab.fault that cuts a check."""
    effect, made = outage.effect(check)
    return Cause(CauseKind.FAULT, f"lab.fault {made}") if effect is Effect.CUT else None


def nic(seen: Site, outage: Outage, node: Node, at: NIC | None) -> Cause | None:
    """Return what is wrong with a NIC itself, seen from this host or from its node."""
    if at is None:
        return None
    made = outage.of_nic(node.name, at.network)
    if made:
        return Cause(CauseKind.FAULT, f"lab.fault {made}")
    view = seen.views.get(node.name)
    on_host = view.on(at.network) if view else None
    if view and on_host:
        cause = evidence.nic_cause(view, on_host)
        if cause:
            return cause
    scene = seen.scene(node.name)
    return _nic_by_node(scene, node, at) if scene.is_seen else None


def _nic_by_node(scene: Scene, node: Node, at: NIC) -> Cause | None:
    device = scene.devices.get(at.device)
    if device is None:
        return Cause(CauseKind.NIC_MISSING, f"{node.name} has no {at.device}")
    # What a cloud made of the NIC (br-ex, vhost0) has to be up as well as the NIC itself.
    holder = scene.holder(at)
    for name in (at.device, holder):
        cause = _link(node, name, scene.devices[name])
        if cause:
            return cause
    if str(at.address) not in scene.devices[holder].addresses:
        has = ", ".join(device.addresses) or "no address"
        text = f"{at.device} of {node.name} has {has}, not {at.address}"
        return Cause(CauseKind.WRONG_ADDRESS, text)
    return None


def _link(node: Node, name: str, device: Device) -> Cause | None:
    if not device.is_up:
        return Cause(CauseKind.NIC_DOWN, f"{name} is down on {node.name}")
    if not device.has_carrier:
        return Cause(CauseKind.NO_CARRIER, f"{name} has no carrier on {node.name}")
    return None


def mtu(seen: Site, node: Node, at: NIC | None) -> Cause | None:
    """Return the wrong MTU of a NIC."""
    device = seen.scene(node.name).devices.get(at.device) if at else None
    if at is None or device is None or device.mtu == at.mtu:
        return None
    text = f"{at.device} of {node.name} has an MTU of {device.mtu}, not {at.mtu}"
    return Cause(CauseKind.WRONG_MTU, text)


def _route(seen: Site, way: Way) -> Cause | None:
    """Return the route by which the sender's packets leave by another NIC."""
    scene = seen.scene(way.source.name)
    route = scene.routes.get(way.address, "")
    right = (f" dev {device} " for device in (way.mine.device, scene.holder(way.mine)))
    if not route or any(words in f" {route} " for words in right):
        return None
    text = f"{way.source.name} sends to {way.address} wrongly: {route}"
    return Cause(CauseKind.WRONG_ROUTE, text)


def _neighbour(seen: Site, way: Way) -> tuple[str, str]:
    """Return the MAC that answered the sender's ARP, and the state of that neighbour."""
    return seen.scene(way.source.name).neighbours.get(way.address, ("", ""))


def _address_taken(seen: Site, way: Way) -> Cause | None:
    mac, _ = _neighbour(seen, way)
    if not mac or mac.lower() == way.theirs.mac:
        return None
    owner = f"{mac} answers, not {way.target.name}'s {way.theirs.mac}"
    return Cause(CauseKind.ADDRESS_TAKEN, f"another machine has {way.address}: {owner}")


def _seen_by_host(seen: Site, way: Way) -> Cause | None:
    """Return why the target does not answer the host either, if that holds for this way."""
    view = seen.views.get(way.target.name)
    is_tcp = way.check.kind.traits.carrier is Carrier.TCP
    mac, _ = _neighbour(seen, way)
    if view is None or way.target.name not in seen.unreached or (mac and not is_tcp):
        return None
    cause = evidence.cause(view)
    if cause is None:
        return None
    # An sshd that is down is so on all networks; all else is about the one that the host uses.
    is_everywhere = is_tcp and cause.kind is CauseKind.SSHD_DOWN
    is_same_network = way.check.network == way.target.access.network
    return cause if is_everywhere or is_same_network else None


def _firewalls(seen: Site, way: Way) -> Iterator[Cause | None]:
    """Yield the rules that refuse the packets, at each of the four places that they pass."""
    protocol = Carrier.TCP if way.check.kind.traits.carrier is Carrier.TCP else Carrier.ECHO
    at_target = (way.target, way.theirs, str(way.mine.address.ip))
    at_source = (way.source, way.mine, way.address)
    for (node, end, peer), hook, is_reply in (
        (at_target, "input", False),
        (at_source, "output", False),
        (at_target, "output", True),
        (at_source, "input", True),
    ):
        scene = seen.scene(node.name)
        rule = scene.drops(hook, protocol.value, end, peer, is_reply=is_reply)
        if rule:
            text = f"a firewall rule of {node.name} refuses it: {rule}"
            yield Cause(CauseKind.NODE_FIREWALL, text)


def _loss(seen: Site, node: Node, at: NIC) -> Cause | None:
    device = seen.scene(node.name).devices.get(at.device)
    if device is None or not device.loss_percent:
        return None
    share = f"{device.loss_percent:g} % of what it sends (netem)"
    return Cause(CauseKind.LOSSY, f"{at.device} of {node.name} loses {share}")


def _no_arp(seen: Site, way: Way) -> Cause | None:
    mac, state = _neighbour(seen, way)
    if mac or state not in _NO_ARP:
        return None
    return Cause(CauseKind.NO_ARP, f"{way.target.name} does not answer ARP for {way.address}")
