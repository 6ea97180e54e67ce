"""A node's NICs and routes held against the spec. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Interface

from stacklab.checks.holder import holders, is_made_of
from stacklab.checks.nodes.look import Look
from stacklab.checks.nodes.machine import Defect, verdict_on_all
from stacklab.checks.nodes.readings import NetworkDevice, NodeRoute
from stacklab.checks.result import Reason, Verdict
from stacklab.model.lab import NIC, Lab, NetworkMode, Node

Addresses = Mapping[str, Sequence[IPv4Interface]]  # by device


def judge_nic(nic: NIC, look: Look) -> Verdict:
    """Judge that the device has its name, MAC, MTU and address, and is up and plugged in.

    All that differs is in the detail.
    """
    devices = look.devices()
    addresses = look.addresses()
    if addresses is None or not devices:
        return look.unknown("addr")
    mac = nic.mac.lower()
    # What is built on a NIC (a VLAN, a bridge) may have its MAC: only where the NIC itself is
    # missing is another device with that MAC the NIC under a wrong name.
    others = [name for name, device in devices.items() if device.mac == mac and name != nic.device]
    device = devices.get(nic.device)
    if device is None:
        where = f"no NIC has its MAC {mac}"
        if others:
            where = f"its MAC {mac} is on {', '.join(others)}"
        return Verdict.failed(Reason.NIC_MISSING, f"{nic.device} is missing: {where}")
    defects = [*_wrong_link(nic, device, others), *_wrong_addresses(nic, devices, addresses)]
    if defects:
        return verdict_on_all(defects)
    holder = _devices_with_address(nic, addresses)[0]
    place = ""
    if holder != nic.device:
        place = f" on {holder}, which has its MAC"
    return Verdict.passed(f"{nic.address}{place}, {mac}, MTU {nic.mtu}")


def _wrong_link(nic: NIC, device: NetworkDevice, others: Sequence[str]) -> list[Defect]:
    """Return what is wrong with the link: MAC, state, carrier, MTU."""
    defects: list[Defect] = []
    mac = nic.mac.lower()
    if device.mac != mac:
        detail = f"{nic.device} has MAC {device.mac}, not {mac}"
        if others:
            detail += f": that is on {', '.join(others)}"
        defects.append((Reason.WRONG_MAC, detail))
    if not device.is_up:
        defects.append((Reason.NIC_DOWN, f"{nic.device} is down"))
    elif not device.has_carrier:
        defects.append((Reason.NO_CARRIER, f"{nic.device} has no carrier: it is unplugged"))
    if device.mtu != nic.mtu:
        defects.append((Reason.WRONG_MTU, f"has MTU {device.mtu}, not {nic.mtu}"))
    return defects


def _devices_with_address(nic: NIC, addresses: Addresses) -> list[str]:
    """Return all devices that have the NIC's declared address: its own one first."""
    texts = {name: _address_texts(on_device) for name, on_device in addresses.items()}
    return holders(nic, texts)


def _address_texts(addresses: Sequence[IPv4Interface]) -> list[str]:
    """Write addresses like `10.0.0.2/24`."""
    return [str(address) for address in addresses]


def _wrong_addresses(
    nic: NIC, devices: Mapping[str, NetworkDevice], addresses: Addresses
) -> list[Defect]:
    """Return what is wrong with where the declared address is.

    A bridge or a vrouter made of the NIC takes its address and its MAC (br-ex, vhost0):
    that is what a cloud is meant to do.
    """
    having = _devices_with_address(nic, addresses)
    on_nic = ", ".join(_address_texts(addresses.get(nic.device, [])))
    detail = ""
    if not having:
        detail = f"has {on_nic or 'no address'}, not {nic.address}"
    elif having[0] == nic.device:
        others = ", ".join(having[1:])
        if others:
            detail = f"{nic.address} is on {others} as well"
    else:
        strange = ", ".join(name for name in having if not _is_made_of(nic, name, devices))
        if strange:
            detail = f"{nic.address} is on {strange}"
        if strange and on_nic:
            detail = f"has {on_nic}, and {detail}"
    return [(Reason.WRONG_ADDRESS, detail)] if detail else []


def _is_made_of(nic: NIC, name: str, devices: Mapping[str, NetworkDevice]) -> bool:
    """Return True if a device of that name was made of the NIC."""
    return name in devices and is_made_of(nic, devices[name].mac)


def judge_routes(lab: Lab, node: Node, look: Look) -> Verdict:
    """Judge that each network is reached out of the NIC on it, with that NIC's address.

    All else is reached by the first NIC, or not at all.
    """
    routes = look.routes()
    addresses = look.addresses()
    if routes is None or addresses is None:
        return look.unknown("route", "addr")
    devices = look.devices()
    ways = {nic.device: _allowed_devices(nic, devices, addresses) for nic in node.nics}
    defects = _wrong_default(lab, node, routes, ways)
    without_route: list[str] = []  # devices that lack the route to their network
    for nic in node.nics:
        of_nic = _wrong_network(lab, nic, routes, ways[nic.device])
        defects += of_nic
        if Reason.NO_ROUTE in dict(of_nic):
            without_route.append(nic.device)
    if not defects:
        return Verdict.passed(f"{_default_text(routes)}, {len(node.nics)} connected")
    verdict = verdict_on_all(defects)
    # The search for causes looks at this NIC; of several defects it could not choose one.
    about = without_route[0] if len(defects) == 1 and without_route else ""
    return Verdict.failed(verdict.reason, verdict.detail, about=about)


def _default_text(routes: Sequence[NodeRoute]) -> str:
    """Name the default route that the kernel takes: the first one."""
    for route in routes:
        if route.is_default:
            return f"default {route}"
    return "no default route"


def _allowed_devices(
    nic: NIC, devices: Mapping[str, NetworkDevice], addresses: Addresses
) -> list[str]:
    """Return the devices that the NIC's packets may leave by.

    These are its own, and what was made of it and has its address.
    """
    allowed = [nic.device]
    if nic.device not in devices:
        return allowed
    for name in _devices_with_address(nic, addresses):
        if _is_made_of(nic, name, devices):
            allowed.append(name)
    return allowed


def _wrong_default(
    lab: Lab, node: Node, routes: Sequence[NodeRoute], ways: Mapping[str, Sequence[str]]
) -> list[Defect]:
    """Return what is wrong with the default route: a lab has one where its first network is NAT."""
    defaults = [route for route in routes if route.is_default]
    network = lab.network(node.access.network)
    if network.mode is not NetworkMode.NAT:
        why = f"where none should be: {network.name} is {network.mode}"
        return [(Reason.WRONG_ROUTE, f"default {route}, {why}") for route in defaults]
    gateway = str(network.host_address)
    right = f"via {gateway} dev {node.access.device}"
    if not defaults:
        return [(Reason.WRONG_ROUTE, f"the default route is missing: it should be {right}")]
    allowed = ways[node.access.device]
    strange = [str(route) for route in defaults if not _leads_by(route, gateway, allowed)]
    if not strange:
        return []
    beside = "beside" if len(strange) < len(defaults) else "instead of"
    return [(Reason.WRONG_ROUTE, f"default {', '.join(strange)} {beside} {right}")]


def _leads_by(route: NodeRoute, gateway: str, devices: Sequence[str]) -> bool:
    """Return True if all hops of a route are that gateway, and leave by one of these devices."""
    return set(route.gateways) == {gateway} and set(route.devices) <= set(devices)


def _wrong_network(
    lab: Lab, nic: NIC, routes: Sequence[NodeRoute], ways: Sequence[str]
) -> list[Defect]:
    """Return what is wrong with the routes to the network that a NIC is on."""
    cidr = lab.network(nic.network).cidr
    right: list[NodeRoute] = []
    wrong: list[NodeRoute] = []
    for route in routes:
        if route.prefix != cidr:
            continue
        if set(route.devices) <= set(ways):
            right.append(route)
        else:
            wrong.append(route)
    defects: list[Defect] = []
    if right:
        defects += _wrong_source(nic, right[0])
    else:
        detail = f"the route to {cidr} out of {nic.device} is missing"
        defects.append((Reason.NO_ROUTE, detail))
    for route in wrong:
        detail = f"{cidr} goes out of {', '.join(route.devices)} as well"
        defects.append((Reason.WRONG_ROUTE, detail))
    return defects


def _wrong_source(nic: NIC, route: NodeRoute) -> list[Defect]:
    """Return what is wrong with a route that leaves by the right device: the kernel takes it."""
    address = str(nic.address.ip)
    if route.source not in ("", address):
        detail = f"{route.prefix} goes out of {nic.device} from {route.source}, not {address}"
        return [(Reason.WRONG_ROUTE, detail)]
    if route.gateways:
        detail = f"{route.prefix} goes {route}, and {nic.device} is on it"
        return [(Reason.WRONG_ROUTE, detail)]
    return []
