"""Addresses of a cloud: which NIC a node has on its networks, and which ranges are free there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network

from stacklab.errors import RenderError
from stacklab.model.lab import NIC, Lab, Node

_LONGEST_PREFIX = 29  # the spec accepts no smaller range


def nic_on(lab: Lab, node: Node, network: str) -> NIC:
    """Return a node's NIC on a network of the cloud; raises RenderError if it lacks one."""
    nic = node.nic_on(network)
    if nic is None:
        raise RenderError(f"node {node.name} needs a NIC on {network}, the network of the stack")
    return nic


def login_nic(_lab: Lab, node: Node) -> NIC:
    """Return the NIC that the host logs in by."""
    return node.access


def api_nic(lab: Lab, node: Node) -> NIC:
    """Return a node's NIC on the network of the APIs; the one for logins if it lacks one there."""
    return node.nic_on(lab.stack.api_network or lab.stack.network) or node.access


def address(lab: Lab, node: Node) -> IPv4Address:
    """Return a node's own address in the cloud: HOST_IP."""
    return nic_on(lab, node, lab.stack.network).address.ip


def api_address(lab: Lab) -> IPv4Address:
    """Return the address of the controller's APIs: SERVICE_HOST."""
    return nic_on(lab, lab.controller, lab.stack.api_network or lab.stack.network).address.ip


def taken(lab: Lab, network: str) -> Iterator[tuple[str, IPv4Address]]:
    """Yield every used address of a network with its owner: the host first, then the nodes."""
    yield "the host", lab.network(network).host_address
    for node, nic in lab.members(network):
        yield node.name, nic.address.ip


def free_of_nodes(lab: Lab, part: IPv4Network, network: str) -> IPv4Network:
    """Return `part`, a range for floating addresses, if nobody's address is in it.

    Raises RenderError if it is outside of the network, or holds an address of the
    host or of a node; the hint names a range that would do.
    """
    cidr = lab.network(network).cidr
    free = free_part(lab, network, part.prefixlen)
    if free is not None:
        hint = f"floating_range: {free}"
    else:
        hint = f"a wider cidr for {network}, or other addresses for its nodes"
    if not part.subnet_of(cidr):
        raise RenderError(f"stack.floating_range: {part} is not in {network}, {cidr}", hint=hint)
    owners = []
    for name, ip in taken(lab, network):
        if ip in part:
            owners.append(f"{ip} is {name}'s")
    if owners:
        raise RenderError(
            f"stack.floating_range: {part} would be given away, but {', '.join(owners)}",
            hint=hint,
        )
    return part


def free_part(lab: Lab, network: str, prefix: int) -> IPv4Network | None:
    """Return the uppermost part of a network in which nobody has an address.

    It has the asked size, or the next smaller one that is free; None if none is.
    """
    cidr = lab.network(network).cidr
    addresses = [ip for _owner, ip in taken(lab, network)]
    largest = max(prefix, cidr.prefixlen + 1)  # never the whole network
    for length in range(largest, _LONGEST_PREFIX + 1):
        part = _uppermost_free(cidr, length, addresses)
        if part is not None:
            return part
    return None


def _uppermost_free(
    cidr: IPv4Network, length: int, addresses: Sequence[IPv4Address]
) -> IPv4Network | None:
    """Return the uppermost part with that prefix that holds none of the addresses."""
    first_address = int(cidr[0])
    size = 1 << (32 - length)
    used = {(int(ip) - first_address) // size for ip in addresses}
    count = cidr.num_addresses // size
    # There are as many used parts as addresses at most, so among one more there is a free one.
    # Nobody has to look through the 2**21 smallest parts of a /8.
    lowest = max(count - len(used) - 1, 0)
    for index in range(count - 1, lowest - 1, -1):
        if index not in used:
            return IPv4Network((first_address + index * size, length))
    return None
