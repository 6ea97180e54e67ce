"""A node's NICs and routes held against the spec. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Interface

from stacklab.checks.holder import holders, is_made_of
from stacklab.checks.nodes.look import Look, NetworkDevice, NodeRoute
from stacklab.checks.nodes.machine import Defect, verdict_on_all
from stacklab.checks.result import Reason, Verdict
from stacklab.model.lab import NIC, Lab, NetworkMode, Node

Addresses = Mapping[str, Sequence[IPv4Interface]]  # by device


def judge_nic(nic: NIC, look: Look) -> Verdict:
    """Judge that the device has its name, MAC, MTU and address, and is up and plugged in.

    All that differs is in the detail.
    """
    devices, addresses = look.devices(), look.addresses()
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
    return holders(nic, {name: _address_texts(held) for name, held in addresses.items()})


def _address_texts(addresses: Sequence[IPv4Interface]) -> list[str]:
    return [str(address) for address in addresses]


def _wrong_addresses(
    nic: NIC, devices: Mapping[str, NetworkDevice], addresses: Addresses
) -> list[Defect]:
    """Return what is wrong with where the declared address is.

    A bridge or a vrouter made of the NIC takes its address and its MAC (br-ex, vhost0):
    that is what a cloud is meant to do.
    """
    having = _devices_with_address(nic, addresses)
    on_nic = _address_texts(addresses.get(nic.device, []))
    if not having:
        has = ", ".join(on_nic) or "no address"
        return [(Reason.WRONG_ADDRESS, f"has {has}, not {nic.address}")]
    if having[0] == nic.device:
        if not having[1:]:
            return []
        others = ", ".join(having[1:])
        return [(Reason.WRONG_ADDRESS, f"{nic.address} is on {others} as well")]
    strange = [name for name in having if not _is_made_of(nic, name, devices)]
    if not strange:
        return []
    detail = f"{nic.address} is on {', '.join(strange)}"
    if on_nic:
        detail = f"has {', '.join(on_nic)}, and {detail}"
    return [(Reason.WRONG_ADDRESS, detail)]


def _is_made_of(nic: NIC, name: str, devices: Mapping[str, NetworkDevice]) -> bool:
    """Return True if a device of that name was made of the NIC."""
    return name in devices and is_made_of(nic, devices[name].mac)


def judge_routes(lab: Lab, node: Node, look: Look) -> Verdict:
    """Judge that each network is reached out of the NIC on it, with that NIC's address.

    All else is reached by the first NIC, or not at all.
    """
    routes, addresses = look.routes(), look.addresses()
    if routes is None or addresses is None:
        return look.unknown("route", "addr")
    devices = look.devices()
    ways = {nic.device: _allowed_devices(nic, devices, addresses) for nic in node.nics}
    defects = _wrong_default(lab, node, routes, ways)
    without_route = []  # devices that lack the route to their network
    for nic in node.nics:
        of_nic = _wrong_network(lab, nic, routes, ways[nic.device])
        defects += of_nic
        if any(reason is Reason.NO_ROUTE for reason, _ in of_nic):
            without_route.append(nic.device)
    if defects:
        verdict = verdict_on_all(defects)
        # The search for causes looks at this NIC; of several defects it could not choose one.
        about = without_route[0] if len(defects) == 1 and without_route else ""
        return Verdict.failed(verdict.reason, verdict.detail, about=about)
    default = "no default route"
    for route in routes:
        if not route.prefix.prefixlen:
            default = f"default {route}"
            break
    return Verdict.passed(f"{default}, {len(node.nics)} connected")


def _allowed_devices(
    nic: NIC, devices: Mapping[str, NetworkDevice], addresses: Addresses
) -> list[str]:
    """Return the devices that the NIC's packets may leave by.

    These are its own, and what was made of it and has its address.
    """
    if nic.device not in devices:
        return [nic.device]
    having = _devices_with_address(nic, addresses)
    return [nic.device, *(name for name in having if _is_made_of(nic, name, devices))]


def _wrong_default(
    lab: Lab, node: Node, routes: Sequence[NodeRoute], ways: Mapping[str, Sequence[str]]
) -> list[Defect]:
    """Return what is wrong with the default route: a lab has one where its first network is NAT."""
    defaults = [route for route in routes if not route.prefix.prefixlen]
    network = lab.network(node.access.network)
    if network.mode is not NetworkMode.NAT:
        why = f"where none should be: {network.name} is {network.mode}"
        return [(Reason.WRONG_ROUTE, f"default {route}, {why}") for route in defaults]
    gateway = str(network.host_address)
    right = f"via {gateway} dev {node.access.device}"
    if not defaults:
        return [(Reason.WRONG_ROUTE, f"the default route is missing: it should be {right}")]
    allowed = set(ways[node.access.device])
    strange: list[NodeRoute] = []
    for route in defaults:
        if set(route.gateways) != {gateway} or not set(route.devices) <= allowed:
            strange.append(route)
    if not strange:
        return []
    beside = "beside" if len(strange) < len(defaults) else "instead of"
    detail = f"default {', '.join(map(str, strange))} {beside} {right}"
    return [(Reason.WRONG_ROUTE, detail)]


def _wrong_network(
    lab: Lab, nic: NIC, routes: Sequence[NodeRoute], ways: Sequence[str]
) -> list[Defect]:
    """Return what is wrong with the routes to the network that a NIC is on."""
    cidr, address = lab.network(nic.network).cidr, str(nic.address.ip)
    to_it = [route for route in routes if route.prefix == cidr]
    right = [route for route in to_it if set(route.devices) <= set(ways)]
    defects: list[Defect] = []
    if not right:
        detail = f"the route to {cidr} out of {nic.device} is missing"
        defects.append((Reason.NO_ROUTE, detail))
    elif right[0].source not in ("", address):
        detail = f"{cidr} goes out of {nic.device} from {right[0].source}, not {address}"
        defects.append((Reason.WRONG_ROUTE, detail))
    elif right[0].gateways:
        detail = f"{cidr} goes {right[0]}, and {nic.device} is on it"
        defects.append((Reason.WRONG_ROUTE, detail))
    for route in to_it:
        if route not in right:
            detail = f"{cidr} goes out of {', '.join(route.devices)} as well"
            defects.append((Reason.WRONG_ROUTE, detail))
    return defects
