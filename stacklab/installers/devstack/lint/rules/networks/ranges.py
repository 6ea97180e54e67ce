"""Rules for the ranges of instances and of floating addresses in DevStack's localrc."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding
from stacklab.model.lab import Lab, Network

_STACKRC = "openstack/devstack@493835a:stackrc"
RULES = (
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
)
_BOOK = Book(RULES)
_RANGES = ("FIXED_RANGE", "FLOATING_RANGE", "IPV4_ADDRS_SAFE_TO_USE", "PUBLIC_NETWORK_RANGE")
_POOL = re.compile(r"start=([0-9.]+),end=([0-9.]+)")
# A gateway, and the range that it must be in.
_GATEWAYS = (("NETWORK_GATEWAY", "FIXED_RANGE"), ("PUBLIC_NETWORK_GATEWAY", "FLOATING_RANGE"))
_POOL_NAME = "Q_FLOATING_ALLOCATION_POOL"


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    yield from _check_ranges(rc)
    yield from _find_overlaps(rc)
    if rc.scope.lab is not None:
        yield from _find_overlaps_with_lab(rc, rc.scope.lab)
    # neutron takes the whole of FIXED_RANGE for its subnet, and does not read the size.
    if rc.may_use_nova_network:
        yield from _check_fixed_size(rc)
    yield from _check_gateways(rc)


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
        bare, slash, _length = rc.value(name).partition("/")
        if slash:
            yield _BOOK.finding(
                "devstack-gateway",
                rc.file,
                rc.line(name),
                effect=f"neutron refuses the subnet: {rc.value(name)} is not an address, which has "
                "no length",
                fix=f"{name}={bare}",
            )
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
