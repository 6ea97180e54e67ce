"""Rules for addresses, ranges and devices in DevStack's localrc."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.model.lab import NIC
from stacklab.model.stack import NetworkingMode

_STACKRC = "openstack/devstack@493835a:stackrc"
_NOVA = "openstack/devstack@icehouse-eol:lib/nova"
RULES = (
    warning("devstack-host-ip-missing", "a missing HOST_IP", f"{_STACKRC}: get_default_host_ip"),
    rule("devstack-host-ip", "a HOST_IP that other nodes cannot reach", _STACKRC),
    rule("devstack-host-ip-foreign", "a HOST_IP that the node does not have", "the lab's spec"),
    rule("devstack-service-host", "a compute that does not know its controller", _STACKRC),
    rule("devstack-range", "a text that is not a range", _STACKRC),
    rule("devstack-range-overlap", "ranges that overlap", _STACKRC),
    rule("devstack-range-lab", "a range that overlaps one of the lab's networks", "the lab's spec"),
    rule(
        "devstack-fixed-size",
        "FIXED_NETWORK_SIZE larger than FIXED_RANGE",
        "openstack/devstack@mitaka-eol:stack.sh",
    ),
    rule(
        "devstack-gateway",
        "a gateway or a pool outside its range",
        "openstack/devstack@493835a:lib/neutron_plugins/services/l3",
    ),
    warning(
        "devstack-flat-interface",
        "FLAT_INTERFACE on the NIC with HOST_IP, though another NIC is free",
        f"{_NOVA}: FLAT_INTERFACE; openstack/nova@icehouse-eol:nova/network/linux_net.py: "
        f"ensure_bridge",
    ),
    rule(
        "devstack-public-interface",
        "PUBLIC_INTERFACE on the NIC by which the host logs in",
        "openstack/devstack@493835a:lib/neutron: _move_neutron_addresses_route",
    ),
)
_BOOK = Book(RULES)
_RANGES = ("FIXED_RANGE", "FLOATING_RANGE", "IPV4_ADDRS_SAFE_TO_USE", "PUBLIC_NETWORK_RANGE")
_POOL = re.compile(r"start=([0-9.]+),end=([0-9.]+)")
_INSIDE = (("NETWORK_GATEWAY", "FIXED_RANGE"), ("PUBLIC_NETWORK_GATEWAY", "FLOATING_RANGE"))


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    for rule_check in (
        _host_ip,
        _service_host,
        _ranges,
        _overlaps,
        _lab_networks,
        _size,
        _gateways,
        _devices,
    ):
        yield from rule_check(rc)


def is_loopback(text: str) -> bool:
    """Return True for an address of the node itself: localhost or 127.x."""
    return text == "localhost" or text.startswith("127.") or text == "::1"


def _host_ip(rc: Localrc) -> Iterator[Finding]:
    is_empty = rc.is_set("HOST_IP") and rc.values["HOST_IP"] == ""
    if is_empty or not rc.is_set("HOST_IP"):
        yield from _no_host_ip(rc)
        return
    value, address = rc.value("HOST_IP"), rc.address("HOST_IP")
    if is_loopback(value) or value == "0.0.0.0":
        yield _BOOK.finding(
            "devstack-host-ip",
            rc.file,
            rc.line("HOST_IP"),
            f"{value} means the node itself on every node, so other nodes cannot reach this one",
            "HOST_IP=ADDRESS of a NIC that the other nodes reach",
        )
    # With `dhcp`, get_default_host_ip of functions-common looks for the address itself.
    elif value and value != "dhcp" and address is None:
        yield _BOOK.finding(
            "devstack-host-ip",
            rc.file,
            rc.line("HOST_IP"),
            f"DevStack writes {value} into configuration files, though it is not an IPv4 address",
            "HOST_IP=ADDRESS",
        )
    if address is not None:
        yield from _foreign_host_ip(rc, address)


def _foreign_host_ip(rc: Localrc, address: IPv4Address) -> Iterator[Finding]:
    node = rc.scope.node
    if node is None or address in [nic.address.ip for nic in node.nics]:
        return
    known = ", ".join(f"{nic.address.ip} on {nic.network}" for nic in node.nics)
    yield _BOOK.finding(
        "devstack-host-ip-foreign",
        rc.file,
        rc.line("HOST_IP"),
        f"services cannot listen on {address}, which is not an address of {node.name}",
        f"HOST_IP=ADDRESS, one of its own: {known}",
    )


def _no_host_ip(rc: Localrc) -> Iterator[Finding]:
    # HOST_IP_IFACE names the NIC to ask, and a cloud of IPv6 uses HOST_IPV6.
    if rc.is_set("HOST_IPV6") or rc.is_set("HOST_IP_IFACE") or rc.script.unclosed:
        return
    yield _BOOK.finding(
        "devstack-host-ip-missing",
        rc.file,
        rc.line("HOST_IP"),
        "DevStack takes the first address of the NIC with the default route, and the other nodes "
        "may use another one",
        "HOST_IP=ADDRESS",
    )


def _service_host(rc: Localrc) -> Iterator[Finding]:
    if not rc.is_compute or rc.script.unclosed:
        return
    if not rc.is_set("SERVICE_HOST"):
        yield _BOOK.finding(
            "devstack-service-host",
            rc.file,
            0,
            "this compute looks for the controller's services on itself, because SERVICE_HOST is "
            "missing",
            "SERVICE_HOST=ADDRESS of the controller",
        )
    elif is_loopback(rc.value("SERVICE_HOST")):
        yield _BOOK.finding(
            "devstack-service-host",
            rc.file,
            rc.line("SERVICE_HOST"),
            f"this compute looks for the controller's services on itself: "
            f"{rc.value('SERVICE_HOST')} is this node",
            "SERVICE_HOST=ADDRESS of the controller",
        )


def _ranges(rc: Localrc) -> Iterator[Finding]:
    for name in _RANGES:
        value = rc.value(name)
        if not value:
            continue
        network = rc.network(name)
        if network is None:
            yield _BOOK.finding(
                "devstack-range",
                rc.file,
                rc.line(name),
                f"DevStack cannot use {value}, which is not a range",
                f"{name}=10.4.128.0/20",
            )
        elif str(network.network_address) != value.partition("/")[0]:
            yield _BOOK.finding(
                "devstack-range",
                rc.file,
                rc.line(name),
                f"{value} does not begin with the first address of its range: nova-network takes "
                f"{network}, neutron may refuse it",
                f"{name}={network}",
            )


def _overlaps(rc: Localrc) -> Iterator[Finding]:
    fixed, floating = rc.network("FIXED_RANGE"), rc.network("FLOATING_RANGE")
    if fixed and floating and fixed.overlaps(floating):
        yield _BOOK.finding(
            "devstack-range-overlap",
            rc.file,
            rc.line("FLOATING_RANGE"),
            f"an instance and a floating address can be the same: FIXED_RANGE {fixed} and "
            f"FLOATING_RANGE {floating} overlap",
            "write two ranges that do not overlap",
        )
    host_ip, service_host = rc.address("HOST_IP"), rc.address("SERVICE_HOST")
    hosts = [("HOST_IP", host_ip)]
    if service_host != host_ip:  # of one address, one finding is enough
        hosts.append(("SERVICE_HOST", service_host))
    for name, network in (("FIXED_RANGE", fixed), ("FLOATING_RANGE", floating)):
        for host, address in hosts:
            if network and address and _is_given(rc, name, address, network):
                yield _BOOK.finding(
                    "devstack-range-overlap",
                    rc.file,
                    rc.line(name),
                    f"an instance can get the address of a node: {host} {address} is inside "
                    f"{name} {network}",
                    f"{name}=RANGE, with one that does not hold a node",
                )


def _is_given(rc: Localrc, name: str, address: IPv4Address, network: IPv4Network) -> bool:
    """Return True if neutron or nova may give that address away.

    If a range has an allocation pool, only the pool is given away.
    """
    pool = _POOL.match(rc.value("Q_FLOATING_ALLOCATION_POOL"))
    if name == "FIXED_RANGE" or pool is None:
        return address in network
    try:
        return IPv4Address(pool[1]) <= address <= IPv4Address(pool[2])
    except ValueError:
        return False


def _lab_networks(rc: Localrc) -> Iterator[Finding]:
    lab = rc.scope.lab
    if lab is None:
        return
    for name in ("FIXED_RANGE", "FLOATING_RANGE"):
        network = rc.network(name)
        for lab_network in lab.networks:
            # Floating addresses are meant to be on the network that carries them.
            if (
                network is None
                or not network.overlaps(lab_network.cidr)
                or _is_carrier(rc, name, lab_network.name)
            ):
                continue
            yield _BOOK.finding(
                "devstack-range-lab",
                rc.file,
                rc.line(name),
                f"an instance can get the address of a node: {network} overlaps the "
                f"lab's network {lab_network.name} {lab_network.cidr}",
                f"{name}=RANGE, with one outside of "
                f"{', '.join(str(other.cidr) for other in lab.networks)}",
            )


def _is_carrier(rc: Localrc, name: str, network: str) -> bool:
    return (
        name == "FLOATING_RANGE"
        and rc.scope.lab is not None
        and network == rc.scope.lab.stack.external_network
    )


def _size(rc: Localrc) -> Iterator[Finding]:
    release, size, fixed = (
        rc.scope.release,
        rc.value("FIXED_NETWORK_SIZE"),
        rc.network("FIXED_RANGE"),
    )
    if release and not any(NetworkingMode(word).is_nova_network for word in release.network_modes):
        return
    if fixed and size.isdigit() and int(size) > fixed.num_addresses:
        yield _BOOK.finding(
            "devstack-fixed-size",
            rc.file,
            rc.line("FIXED_NETWORK_SIZE"),
            f"nova-manage refuses a network of {size} addresses in {fixed}, which has "
            f"{fixed.num_addresses}",
            f"FIXED_NETWORK_SIZE={fixed.num_addresses}",
        )


def _gateways(rc: Localrc) -> Iterator[Finding]:
    for name, of in _INSIDE:
        yield from _outside(rc, name, rc.address(name), of)
    pool = rc.value("Q_FLOATING_ALLOCATION_POOL")
    for text in re.findall(r"(?:start|end)=([0-9.]+)", pool):
        try:
            yield from _outside(
                rc, "Q_FLOATING_ALLOCATION_POOL", IPv4Address(text), "FLOATING_RANGE"
            )
        except ValueError:
            continue


def _outside(rc: Localrc, name: str, address: IPv4Address | None, of: str) -> Iterator[Finding]:
    network: IPv4Network | None = rc.network(of)
    if address is not None and network is not None and address not in network:
        yield _BOOK.finding(
            "devstack-gateway",
            rc.file,
            rc.line(name),
            f"neutron refuses the subnet: {address} is outside {of} {network}",
            f"write an address in {network} into {name}",
        )


def _devices(rc: Localrc) -> Iterator[Finding]:
    node = rc.scope.node
    if node is None:
        return
    host_ip = rc.address("HOST_IP")
    host_nic: NIC | None = next((nic for nic in node.nics if nic.address.ip == host_ip), None)
    used = {node.access.device, host_nic.device if host_nic else ""}
    free = [nic for nic in node.nics if nic.device not in used]
    if host_nic is not None:
        yield from _flat_interface(rc, host_nic, free)
    if rc.value("PUBLIC_INTERFACE") == node.access.device:
        fix = "remove the line, or give the lab a network for floating addresses"
        if free:
            fix = f"PUBLIC_INTERFACE={' or '.join(nic.device for nic in free)}"
        yield _BOOK.finding(
            "devstack-public-interface",
            rc.file,
            rc.line("PUBLIC_INTERFACE"),
            f"{node.name} cannot be reached any more: DevStack moves {node.access.device}, by "
            f"which the host logs in, into a bridge",
            fix,
        )


def _flat_interface(rc: Localrc, host_nic: NIC, free: list[NIC]) -> Iterator[Finding]:
    external = rc.scope.lab.stack.external_network if rc.scope.lab else None
    inside = [nic.device for nic in free if rc.scope.lab is None or nic.network != external]
    is_bridged = rc.value("NETWORK_MANAGER") != "FlatManager"  # which leaves bridges to people
    if rc.value("FLAT_INTERFACE") != host_nic.device or not inside or not is_bridged:
        return
    yield _BOOK.finding(
        "devstack-flat-interface",
        rc.file,
        rc.line("FLAT_INTERFACE"),
        f"connections break off with the first instance: nova-network then moves {host_nic.device} "
        f"and its address, HOST_IP {host_nic.address.ip}, into a bridge",
        f"FLAT_INTERFACE={' or '.join(inside)}",
    )
