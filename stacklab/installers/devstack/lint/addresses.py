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
    warning("devstack-host-ip-missing", "no HOST_IP", f"{_STACKRC}: get_default_host_ip"),
    rule("devstack-host-ip", "a HOST_IP that no other node can reach", _STACKRC),
    rule(
        "devstack-host-ip-foreign", "a HOST_IP that is on none of the node's NICs", "the lab's spec"
    ),
    rule("devstack-service-host", "a compute that does not know its controller", _STACKRC),
    rule("devstack-range", "a range that is none", _STACKRC),
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
        "FLAT_INTERFACE is the NIC with HOST_IP, and another one is free",
        f"{_NOVA}: FLAT_INTERFACE; openstack/nova@icehouse-eol:nova/network/linux_net.py: "
        f"ensure_bridge",
    ),
    rule(
        "devstack-public-interface",
        "PUBLIC_INTERFACE is the NIC that the host logs in by",
        "openstack/devstack@493835a:lib/neutron: _move_neutron_addresses_route",
    ),
)
_BOOK = Book(RULES)
_RANGES = ("FIXED_RANGE", "FLOATING_RANGE", "IPV4_ADDRS_SAFE_TO_USE", "PUBLIC_NETWORK_RANGE")
_POOL = re.compile(r"start=([0-9.]+),end=([0-9.]+)")
_INSIDE = (("NETWORK_GATEWAY", "FIXED_RANGE"), ("PUBLIC_NETWORK_GATEWAY", "FLOATING_RANGE"))


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    for each in (
        _host_ip,
        _service_host,
        _ranges,
        _overlaps,
        _lab_networks,
        _size,
        _gateways,
        _devices,
    ):
        yield from each(rc)


def is_loopback(text: str) -> bool:
    """Return True for an address of the node itself: localhost or 127.x."""
    return text == "localhost" or text.startswith("127.") or text == "::1"


def _host_ip(rc: Localrc) -> Iterator[Finding]:
    line, value = rc.line("HOST_IP"), rc.value("HOST_IP")
    if not rc.is_set("HOST_IP") or (value == "" and rc.values["HOST_IP"] == ""):
        if (
            not any(rc.is_set(name) for name in ("HOST_IPV6", "HOST_IP_IFACE"))
            and not rc.script.unclosed
        ):
            yield _BOOK.finding(
                "devstack-host-ip-missing",
                rc.file,
                line,
                "the first address of the NIC with the default route is taken, which need not be "
                "the one that the "
                "other nodes use",
                "HOST_IP=ADDRESS",
            )
        return
    if is_loopback(value) or value == "0.0.0.0":
        yield _BOOK.finding(
            "devstack-host-ip",
            rc.file,
            line,
            f"{value} is this node to every node: none reaches another by it",
            "HOST_IP=ADDRESS of a NIC that the other nodes reach",
        )
    elif value and value != "dhcp" and rc.address("HOST_IP") is None:
        yield _BOOK.finding(
            "devstack-host-ip",
            rc.file,
            line,
            f"{value} is no IPv4 address, and ends up in configuration files as it is",
            "HOST_IP=ADDRESS",
        )
    node, address = rc.scope.node, rc.address("HOST_IP")
    if (
        node is not None
        and address is not None
        and address not in [nic.address.ip for nic in node.nics]
    ):
        known = ", ".join(f"{nic.address.ip} on {nic.network}" for nic in node.nics)
        yield _BOOK.finding(
            "devstack-host-ip-foreign",
            rc.file,
            line,
            f"{node.name} has no NIC with {address}: its services can't listen there",
            f"HOST_IP=ADDRESS, one of its own: {known}",
        )


def _service_host(rc: Localrc) -> Iterator[Finding]:
    if not rc.is_compute or rc.script.unclosed:
        return
    if not rc.is_set("SERVICE_HOST"):
        yield _BOOK.finding(
            "devstack-service-host",
            rc.file,
            0,
            "without SERVICE_HOST this compute takes itself for the controller: it talks to "
            "services that aren't here",
            "SERVICE_HOST=ADDRESS of the controller",
        )
    elif is_loopback(rc.value("SERVICE_HOST")):
        yield _BOOK.finding(
            "devstack-service-host",
            rc.file,
            rc.line("SERVICE_HOST"),
            f"{rc.value('SERVICE_HOST')} is this compute itself, and no controller runs here",
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
                f"{value} is no range",
                f"{name}=10.4.128.0/20",
            )
        elif str(network.network_address) != value.partition("/")[0]:
            yield _BOOK.finding(
                "devstack-range",
                rc.file,
                rc.line(name),
                f"{value} begins inside its range: nova-network takes {network}, neutron refuses "
                f"some of it",
                f"{name}={network}",
            )


def _overlaps(rc: Localrc) -> Iterator[Finding]:
    fixed, floating = rc.network("FIXED_RANGE"), rc.network("FLOATING_RANGE")
    if fixed and floating and fixed.overlaps(floating):
        yield _BOOK.finding(
            "devstack-range-overlap",
            rc.file,
            rc.line("FLOATING_RANGE"),
            f"FIXED_RANGE {fixed} and FLOATING_RANGE {floating} share addresses: instances and "
            f"floating addresses meet",
            "write two ranges that share nothing",
        )
    for name, network in (("FIXED_RANGE", fixed), ("FLOATING_RANGE", floating)):
        for host in ("HOST_IP", "SERVICE_HOST"):
            address = rc.address(host)
            if (
                network
                and address
                and _is_given(rc, name, address, network)
                and (host == "HOST_IP" or address != rc.address("HOST_IP"))
            ):
                yield _BOOK.finding(
                    "devstack-range-overlap",
                    rc.file,
                    rc.line(name),
                    f"{host} {address} is inside {name} {network}: the same address is given to an "
                    f"instance sooner "
                    "or later",
                    f"{name}=RANGE, with one that no node is in",
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
        for each in lab.networks:
            # Floating addresses are meant to be on the network that carries them.
            if (
                network is None
                or not network.overlaps(each.cidr)
                or _is_carrier(rc, name, each.name)
            ):
                continue
            yield _BOOK.finding(
                "devstack-range-lab",
                rc.file,
                rc.line(name),
                f"{network} overlaps the lab's network {each.name} {each.cidr}: nodes there can't "
                f"be told from "
                "instances",
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
            f"a network of {size} addresses does not fit into {fixed} ({fixed.num_addresses}): "
            f"nova-manage refuses it",
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
            f"{address} is outside {of} {network}: neutron refuses the subnet",
            f"write an address in {network} into {name}",
        )


def _devices(rc: Localrc) -> Iterator[Finding]:
    node, host_ip = rc.scope.node, rc.address("HOST_IP")
    if node is None:
        return
    own: NIC | None = next((nic for nic in node.nics if nic.address.ip == host_ip), None)
    free = [
        nic
        for nic in node.nics
        if nic.device not in (node.access.device, own.device if own else "")
    ]
    inside = [
        nic.device
        for nic in free
        if rc.scope.lab is None or nic.network != rc.scope.lab.stack.external_network
    ]
    is_bridged = rc.value("NETWORK_MANAGER") != "FlatManager"  # which leaves bridges to people
    if own is not None and rc.value("FLAT_INTERFACE") == own.device and inside and is_bridged:
        yield _BOOK.finding(
            "devstack-flat-interface",
            rc.file,
            rc.line("FLAT_INTERFACE"),
            f"{own.device} has HOST_IP {host_ip}: with the first instance nova-network puts it "
            f"into a bridge and moves "
            "the address there, and connections break off",
            f"FLAT_INTERFACE={' or '.join(inside)}",
        )
    if rc.value("PUBLIC_INTERFACE") == node.access.device:
        yield _BOOK.finding(
            "devstack-public-interface",
            rc.file,
            rc.line("PUBLIC_INTERFACE"),
            f"{node.access.device} is what the host logs in by: moved into a bridge, {node.name} "
            f"can't be reached",
            f"PUBLIC_INTERFACE={' or '.join(nic.device for nic in free)}"
            if free
            else "remove the line, or give the lab a network for floating addresses",
        )
