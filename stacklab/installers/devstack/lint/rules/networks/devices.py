"""Rules for the NICs that DevStack moves into bridges."""

from __future__ import annotations

from collections.abc import Iterator

from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.model.lab import NIC, Node

_NOVA = "openstack/devstack@icehouse-eol:lib/nova"
RULES = (
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


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules, for the file of a node that is known."""
    if rc.scope.node is not None:
        yield from _check_devices(rc, rc.scope.node)


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
