"""A node's NICs and routes held against the spec. Pure."""

from __future__ import annotations

from stacklab.checks.nodes.look import Look, Route
from stacklab.checks.nodes.machine import Verdict
from stacklab.checks.result import CheckStatus
from stacklab.model.lab import NIC, Lab, NetworkMode, Node


def judge_nic(nic: NIC, look: Look) -> Verdict:
    """The device is there by its name, with its MAC, MTU and address, up and plugged in; all that differs is said."""
    devices, addresses = look.devices(), look.addresses()
    if addresses is None or not devices:
        return CheckStatus.ERROR, look.why_not("addr")
    mac = nic.mac.lower()
    # what is built on a NIC (a VLAN, a bridge) may have its MAC: only without the NIC itself is it the NIC
    others = [name for name, device in devices.items() if device.mac == mac and name != nic.device]
    found = devices.get(nic.device)
    if found is None:
        where = (
            f"its MAC {mac} is on {', '.join(others)}" if others else f"no NIC has its MAC {mac}"
        )
        return CheckStatus.FAILED, f"there is no {nic.device}: {where}"
    wrong = []
    if found.mac != mac:
        where = f": that is on {', '.join(others)}" if others else ""
        wrong.append(f"{nic.device} has MAC {found.mac}, not {mac}{where}")
    if not found.is_up:
        wrong.append(f"{nic.device} is down")
    elif not found.has_carrier:
        wrong.append(f"{nic.device} has no carrier: it is unplugged")
    if found.mtu != nic.mtu:
        wrong.append(f"has MTU {found.mtu}, not {nic.mtu}")
    wrong += _wrong_addresses(nic, look)
    if wrong:
        return CheckStatus.FAILED, "; ".join(wrong)
    holder = _holders(nic, look)[0]
    on = "" if holder == nic.device else f" on {holder}, which has its MAC"
    return CheckStatus.PASSED, f"{nic.address}{on}, {mac}, MTU {nic.mtu}"


def _holders(nic: NIC, look: Look) -> list[str]:
    """The devices that have the NIC's declared address: its own one first."""
    found = [name for name, held in (look.addresses() or {}).items() if nic.address in held]
    return sorted(found, key=lambda name: name != nic.device)


def _wrong_addresses(nic: NIC, look: Look) -> list[str]:
    """What is wrong with where the declared address is.

    A bridge or a vrouter made of the NIC takes its address and its MAC (br-ex, vhost0):
    that is what a cloud is meant to do.
    """
    holders, devices = _holders(nic, look), look.devices()
    own = (look.addresses() or {}).get(nic.device, [])
    if not holders:
        return [f"has {', '.join(map(str, own)) or 'no address'}, not {nic.address}"]
    if holders[0] == nic.device:
        return [f"{nic.address} is on {', '.join(holders[1:])} as well"] if holders[1:] else []
    strange = [
        name for name in holders if name not in devices or devices[name].mac != nic.mac.lower()
    ]
    if not strange:
        return []
    has = f"has {', '.join(map(str, own))}, and " if own else ""
    return [f"{has}{nic.address} is on {', '.join(strange)}"]


def judge_routes(lab: Lab, node: Node, look: Look) -> Verdict:
    """Each network is reached out of the NIC on it with that NIC's address, all else by the first NIC or not at all."""
    routes = look.routes()
    if routes is None or look.addresses() is None:
        return CheckStatus.ERROR, look.why_not("route", "addr")
    wrong = [*_wrong_default(lab, node, routes, look), *_wrong_networks(lab, node, routes, look)]
    if wrong:
        return CheckStatus.FAILED, "; ".join(wrong)
    default = next(
        (f"default {route}" for route in routes if not route.prefix.prefixlen), "no default route"
    )
    return CheckStatus.PASSED, f"{default}, {len(node.nics)} connected"


def _ways(nic: NIC, look: Look) -> list[str]:
    """Out of which devices the NIC's packets may go: its own, or what was made of it and has its address."""
    devices = look.devices()
    made_of_it = [
        name
        for name in _holders(nic, look)
        if name in devices and devices[name].mac == nic.mac.lower()
    ]
    return [nic.device, *made_of_it] if nic.device in devices else [nic.device]


def _wrong_default(lab: Lab, node: Node, routes: list[Route], look: Look) -> list[str]:
    found = [route for route in routes if not route.prefix.prefixlen]
    network = lab.network(node.access.network)
    if network.mode is not NetworkMode.NAT:
        return [
            f"default {route}, where none should be: {network.name} is {network.mode}"
            for route in found
        ]
    gateway = str(network.host_address)
    right = f"via {gateway} dev {node.access.device}"
    ways = set(_ways(node.access, look))
    strange = [
        route
        for route in found
        if set(route.gateways) != {gateway} or not set(route.devices) <= ways
    ]
    if not found:
        return [f"there is no default route: it should be {right}"]
    if strange:
        beside = "beside" if len(strange) < len(found) else "instead of"
        return [f"default {', '.join(map(str, strange))} {beside} {right}"]
    return []


def _wrong_networks(lab: Lab, node: Node, routes: list[Route], look: Look) -> list[str]:
    wrong = []
    for nic in node.nics:
        cidr, ways = lab.network(nic.network).cidr, _ways(nic, look)
        found = [route for route in routes if route.prefix == cidr]
        own = [route for route in found if set(route.devices) <= set(ways)]
        address = str(nic.address.ip)
        if not own:
            wrong.append(f"there is no route to {cidr} out of {nic.device}")
        elif own[0].source not in ("", address):
            wrong.append(f"{cidr} goes out of {nic.device} from {own[0].source}, not {address}")
        elif own[0].gateways:
            wrong.append(f"{cidr} goes {own[0]}, and {nic.device} is on it")
        wrong += [
            f"{cidr} goes out of {', '.join(route.devices)} as well"
            for route in found
            if route not in own
        ]
    return wrong
