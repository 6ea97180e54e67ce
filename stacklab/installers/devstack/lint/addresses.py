"""Rules for addresses, ranges and devices in DevStack's localrc."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.model.lab import NIC, Lab, Network, Node

_STACKRC = "openstack/devstack@493835a:stackrc"
_NOVA = "openstack/devstack@icehouse-eol:lib/nova"
RULES = (
    # Addresses of nodes.
    warning("devstack-host-ip-missing", "a missing HOST_IP", f"{_STACKRC}: get_default_host_ip"),
    rule("devstack-host-ip", "a HOST_IP that other nodes cannot reach", _STACKRC),
    warning("devstack-host-ip-loopback", "a loopback HOST_IP beside MULTI_HOST", _STACKRC),
    rule("devstack-host-ip-foreign", "a HOST_IP that the node does not have", "the lab's spec"),
    rule("devstack-service-host", "a compute that does not know its controller", _STACKRC),
    # Ranges of instances and of floating addresses.
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
    # NICs that DevStack moves into bridges.
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
# A gateway, and the range that it must be in.
_GATEWAYS = (("NETWORK_GATEWAY", "FIXED_RANGE"), ("PUBLIC_NETWORK_GATEWAY", "FLOATING_RANGE"))
_OF_SEVERAL_NODES = ("MULTI_HOST", "SERVICE_HOST", "TUNNEL_ENDPOINT_IP", "HOST_IP")
_TRUE_WORDS = ("1", "true", "yes")
_POOL_NAME = "Q_FLOATING_ALLOCATION_POOL"


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    yield from _check_host_ip(rc)
    # The rest of a file that bash stops reading may set what seems to be missing.
    if rc.is_compute and not rc.script.unclosed:
        yield from _check_service_host(rc)
    yield from _check_ranges(rc)
    yield from _find_overlaps(rc)
    if rc.scope.lab is not None:
        yield from _find_overlaps_with_lab(rc, rc.scope.lab)
    # neutron takes the whole of FIXED_RANGE for its subnet, and does not read the size.
    if rc.may_use_nova_network:
        yield from _check_fixed_size(rc)
    yield from _check_gateways(rc)
    if rc.scope.node is not None:
        yield from _check_devices(rc, rc.scope.node)


def is_loopback(text: str) -> bool:
    """Return True for an address of the node itself: localhost or 127.x."""
    return text in ("localhost", "::1") or text.startswith("127.")


def _check_host_ip(rc: Localrc) -> Iterator[Finding]:
    """Yield a HOST_IP that is missing, or that other nodes or services cannot use."""
    if rc.values.get("HOST_IP", "") == "":
        yield from _check_missing_host_ip(rc)
        return
    # rc.value is "" for what only bash could tell: such a HOST_IP is not judged.
    value, address = rc.value("HOST_IP"), rc.address("HOST_IP")
    if is_loopback(value) and _is_one_node(rc):
        # One node reaches itself, so nothing is wrong unless the file speaks of others.
        if rc.value("MULTI_HOST").lower() not in _TRUE_WORDS:
            return
        yield _BOOK.finding(
            "devstack-host-ip-loopback",
            rc.file,
            rc.line("HOST_IP"),
            effect=f"no other node can ever reach this one by {value}",
            fix="HOST_IP=ADDRESS of a NIC",
        )
    elif is_loopback(value) or value == "0.0.0.0":
        yield _BOOK.finding(
            "devstack-host-ip",
            rc.file,
            rc.line("HOST_IP"),
            effect=f"{value} means the node itself on every node, so other nodes cannot reach "
            "this one",
            fix="HOST_IP=ADDRESS of a NIC that the other nodes reach",
        )
    # With `dhcp`, get_default_host_ip of functions-common looks for the address itself.
    elif address is None and value not in ("", "dhcp"):
        yield _BOOK.finding(
            "devstack-host-ip",
            rc.file,
            rc.line("HOST_IP"),
            effect=f"DevStack writes {value} into configuration files, though it is not an IPv4 "
            "address",
            fix="HOST_IP=ADDRESS",
        )
    if address is not None and rc.scope.node is not None:
        yield from _check_foreign_host_ip(rc, address, rc.scope.node)


def _is_one_node(rc: Localrc) -> bool:
    """Return True if nothing speaks of a second node."""
    if rc.is_compute:
        return False
    if rc.scope.lab is not None:
        return len(rc.scope.lab.nodes) == 1
    host = rc.value("SERVICE_HOST")
    return not host or is_loopback(host) or host == rc.value("HOST_IP")


def _check_foreign_host_ip(rc: Localrc, address: IPv4Address, node: Node) -> Iterator[Finding]:
    """Yield a HOST_IP that no NIC of the lab's node has."""
    if address in [nic.address.ip for nic in node.nics]:
        return
    own_addresses = ", ".join(f"{nic.address.ip} on {nic.network}" for nic in node.nics)
    yield _BOOK.finding(
        "devstack-host-ip-foreign",
        rc.file,
        rc.line("HOST_IP"),
        effect=f"services cannot listen on {address}, which is not an address of {node.name}",
        fix=f"HOST_IP=ADDRESS, one of its own: {own_addresses}",
    )


def _check_missing_host_ip(rc: Localrc) -> Iterator[Finding]:
    """Yield a HOST_IP that is not set, or empty: DevStack then chooses an address itself."""
    # HOST_IP_IFACE names the NIC to ask, and a cloud of IPv6 uses HOST_IPV6.
    if rc.is_any_set("HOST_IPV6", "HOST_IP_IFACE") or rc.script.unclosed:
        return
    # Whoever refers to it without setting it is told of that line.
    if not rc.is_set("HOST_IP") and any(
        "HOST_IP" in assignment.value.names for assignment in rc.script.assignments
    ):
        return
    # A cloud of one node is happy with any of its addresses.
    if rc.scope.lab is None and _is_one_node(rc) and not rc.is_any_set(*_OF_SEVERAL_NODES):
        return
    yield _BOOK.finding(
        "devstack-host-ip-missing",
        rc.file,
        rc.line("HOST_IP"),
        effect="DevStack takes the first address of the NIC with the default route, and the other "
        "nodes may use another one",
        fix="HOST_IP=ADDRESS",
    )


def _check_service_host(rc: Localrc) -> Iterator[Finding]:
    """Yield a compute that takes itself for the controller: stackrc's default is HOST_IP."""
    fix = "SERVICE_HOST=ADDRESS of the controller"
    if not rc.is_set("SERVICE_HOST"):
        yield _BOOK.finding(
            "devstack-service-host",
            rc.file,
            0,
            effect="this compute looks for the controller's services on itself, because "
            "SERVICE_HOST is missing",
            fix=fix,
        )
    elif is_loopback(rc.value("SERVICE_HOST")):
        yield _BOOK.finding(
            "devstack-service-host",
            rc.file,
            rc.line("SERVICE_HOST"),
            effect="this compute looks for the controller's services on itself: "
            f"{rc.value('SERVICE_HOST')} is this node",
            fix=fix,
        )


def _check_ranges(rc: Localrc) -> Iterator[Finding]:
    """Yield values that are not ranges, or that begin in the middle of one."""
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
                effect=f"DevStack cannot use {value}, which is not a range",
                fix=f"{name}=10.4.128.0/20",
            )
        # rc.network drops what is behind the prefix: 10.0.0.5/24 is 10.0.0.0/24 there.
        elif str(network.network_address) != value.partition("/")[0]:
            yield _BOOK.finding(
                "devstack-range",
                rc.file,
                rc.line(name),
                effect=f"{value} does not begin with the first address of its range: nova-network "
                f"takes {network}, neutron may refuse it",
                fix=f"{name}={network}",
            )


def _find_overlaps(rc: Localrc) -> Iterator[Finding]:
    """Yield ranges of a file that overlap, or that hold an address of the file's node."""
    fixed, floating = rc.network("FIXED_RANGE"), rc.network("FLOATING_RANGE")
    if fixed and floating and fixed.overlaps(floating):
        yield _BOOK.finding(
            "devstack-range-overlap",
            rc.file,
            rc.line("FLOATING_RANGE"),
            effect="an instance and a floating address can be the same: FIXED_RANGE "
            f"{fixed} and FLOATING_RANGE {floating} overlap",
            fix="write two ranges that do not overlap",
        )
    hosts = _find_hosts(rc)
    for name, network in (("FIXED_RANGE", fixed), ("FLOATING_RANGE", floating)):
        if network is not None:
            yield from _find_hosts_in_range(rc, name, network, hosts)


def _find_hosts(rc: Localrc) -> dict[str, IPv4Address]:
    """Return the addresses of nodes in a file by their variables."""
    hosts: dict[str, IPv4Address] = {}
    for name in ("HOST_IP", "SERVICE_HOST"):
        address = rc.address(name)
        # Of one address, one finding is enough.
        if address is not None and address not in hosts.values():
            hosts[name] = address
    return hosts


def _find_hosts_in_range(
    rc: Localrc, name: str, network: IPv4Network, hosts: dict[str, IPv4Address]
) -> Iterator[Finding]:
    """Yield one finding for addresses of nodes that an instance can get out of a range."""
    inside = [
        f"{host} {address}"
        for host, address in hosts.items()
        if _is_given_away(rc, name, address, network)
    ]
    if inside:
        yield _BOOK.finding(
            "devstack-range-overlap",
            rc.file,
            rc.line(name),
            effect=f"an instance can get the address of a node: {' and '.join(inside)} "
            f"{'are' if len(inside) > 1 else 'is'} inside {name} {network}",
            fix=f"{name}=RANGE, with one that does not hold a node",
        )


def _is_given_away(rc: Localrc, name: str, address: IPv4Address, network: IPv4Network) -> bool:
    """Return True if neutron or nova may give that address away.

    If a range has an allocation pool, only the pool is given away.
    """
    pool = _POOL.match(rc.value(_POOL_NAME))
    if name == "FIXED_RANGE" or pool is None:
        return address in network
    try:
        return IPv4Address(pool[1]) <= address <= IPv4Address(pool[2])
    except ValueError:
        return False


def _find_overlaps_with_lab(rc: Localrc, lab: Lab) -> Iterator[Finding]:
    """Yield ranges out of which an instance can get the address of any node of the lab."""
    lab_ranges = ", ".join(str(network.cidr) for network in lab.networks)
    for name in ("FIXED_RANGE", "FLOATING_RANGE"):
        network = rc.network(name)
        if network is None:
            continue
        for lab_network in _find_overlapped(lab, name, network):
            yield _BOOK.finding(
                "devstack-range-lab",
                rc.file,
                rc.line(name),
                effect=f"an instance can get the address of a node: {network} overlaps the "
                f"lab's network {lab_network.name} {lab_network.cidr}",
                fix=f"{name}=RANGE, with one outside of {lab_ranges}",
            )


def _find_overlapped(lab: Lab, name: str, network: IPv4Network) -> Iterator[Network]:
    """Yield the lab's networks that a range must not overlap, though it does."""
    for lab_network in lab.networks:
        # Floating addresses are meant to be on the network that carries them.
        is_carrier = name == "FLOATING_RANGE" and lab_network.name == lab.stack.external_network
        if network.overlaps(lab_network.cidr) and not is_carrier:
            yield lab_network


def _check_fixed_size(rc: Localrc) -> Iterator[Finding]:
    """Yield a FIXED_NETWORK_SIZE, which only nova-network reads, that is larger than its range."""
    size, fixed = rc.value("FIXED_NETWORK_SIZE"), rc.network("FIXED_RANGE")
    if fixed is None or not size.isdigit() or int(size) <= fixed.num_addresses:
        return
    yield _BOOK.finding(
        "devstack-fixed-size",
        rc.file,
        rc.line("FIXED_NETWORK_SIZE"),
        effect=f"nova-manage refuses a network of {size} addresses in {fixed}, which has "
        f"{fixed.num_addresses}",
        fix=f"FIXED_NETWORK_SIZE={fixed.num_addresses}",
    )


def _check_gateways(rc: Localrc) -> Iterator[Finding]:
    """Yield gateways and ends of the floating pool that are outside their ranges."""
    for name, range_name in _GATEWAYS:
        yield from _check_inside(rc, name, rc.address(name), range_name)
    # Both ends of the pool are judged, though it names one range: either may be outside.
    for text in re.findall(r"(?:start|end)=([0-9.]+)", rc.value(_POOL_NAME)):
        try:
            address = IPv4Address(text)
        except ValueError:
            continue
        yield from _check_inside(rc, _POOL_NAME, address, "FLOATING_RANGE")


def _check_inside(
    rc: Localrc, name: str, address: IPv4Address | None, range_name: str
) -> Iterator[Finding]:
    """Yield an address that is outside its range; one of DevStack's defaults is not judged."""
    network = rc.network(range_name)
    if address is None or network is None or address in network:
        return
    yield _BOOK.finding(
        "devstack-gateway",
        rc.file,
        rc.line(name),
        effect=f"neutron refuses the subnet: {address} is outside {range_name} {network}",
        fix=f"write an address in {network} into {name}",
    )


def _check_devices(rc: Localrc, node: Node) -> Iterator[Finding]:
    """Yield NICs that DevStack would move into a bridge, though the node is reached by them."""
    host_ip, access = rc.address("HOST_IP"), node.access.device
    host_nic: NIC | None = next((nic for nic in node.nics if nic.address.ip == host_ip), None)
    # A NIC that carries the host's logins or the cloud's own traffic must stay as it is.
    used = {access}
    if host_nic is not None:
        used.add(host_nic.device)
    free = [nic for nic in node.nics if nic.device not in used]
    if host_nic is not None:
        yield from _check_flat_interface(rc, host_nic, free)
    if rc.value("PUBLIC_INTERFACE") != access:
        return
    fix = "remove the line, or give the lab a network for floating addresses"
    if free:
        fix = f"PUBLIC_INTERFACE={' or '.join(nic.device for nic in free)}"
    yield _BOOK.finding(
        "devstack-public-interface",
        rc.file,
        rc.line("PUBLIC_INTERFACE"),
        effect=f"{node.name} cannot be reached any more: DevStack moves {access}, by which the "
        "host logs in, into a bridge",
        fix=fix,
    )


def _check_flat_interface(rc: Localrc, host_nic: NIC, free: list[NIC]) -> Iterator[Finding]:
    """Yield nova-network's NIC that has HOST_IP, if another NIC could carry instances."""
    external_network = rc.scope.lab.stack.external_network if rc.scope.lab else None
    inside = [nic.device for nic in free if nic.network != external_network]
    # FlatManager leaves bridges to people.
    is_bridged = rc.value("NETWORK_MANAGER") != "FlatManager"
    if rc.value("FLAT_INTERFACE") != host_nic.device or not inside or not is_bridged:
        return
    yield _BOOK.finding(
        "devstack-flat-interface",
        rc.file,
        rc.line("FLAT_INTERFACE"),
        effect="connections break off with the first instance: nova-network then moves "
        f"{host_nic.device} and its address, HOST_IP {host_nic.address.ip}, into a bridge",
        fix=f"FLAT_INTERFACE={' or '.join(inside)}",
    )
