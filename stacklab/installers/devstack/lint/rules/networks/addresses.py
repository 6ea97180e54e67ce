"""Rules for the addresses of nodes in DevStack's localrc: HOST_IP and SERVICE_HOST."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.model.lab import Node

_STACKRC = "openstack/devstack@493835a:stackrc"
RULES = (
    warning("devstack-host-ip-missing", "a missing HOST_IP", f"{_STACKRC}: get_default_host_ip"),
    rule("devstack-host-ip", "a HOST_IP that other nodes cannot reach", _STACKRC),
    warning("devstack-host-ip-loopback", "a loopback HOST_IP beside MULTI_HOST", _STACKRC),
    rule("devstack-host-ip-foreign", "a HOST_IP that the node does not have", "the lab's spec"),
    rule("devstack-service-host", "a compute that does not know its controller", _STACKRC),
)
_BOOK = Book(RULES)
_OF_SEVERAL_NODES = ("MULTI_HOST", "SERVICE_HOST", "TUNNEL_ENDPOINT_IP", "HOST_IP")
_TRUE_WORDS = ("1", "true", "yes")
_FALSE_WORDS = ("0", "false", "no")


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    yield from _check_host_ip(rc)
    # The rest of a file that bash stops reading may set what seems to be missing.
    if rc.is_compute and not rc.script.unclosed:
        yield from _check_service_host(rc)


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
    if rc.scope.lab is None and _is_one_node(rc) and not _speaks_of_several(rc):
        return
    yield _BOOK.finding(
        "devstack-host-ip-missing",
        rc.file,
        rc.line("HOST_IP"),
        effect="DevStack takes the first address of the NIC with the default route, and the other "
        "nodes may use another one",
        fix="HOST_IP=ADDRESS",
    )


def _speaks_of_several(rc: Localrc) -> bool:
    """Return True if the file sets what only clouds of several nodes need."""
    for name in _OF_SEVERAL_NODES:
        value = rc.value(name).lower()
        if rc.is_set(name) and not is_loopback(value) and value not in _FALSE_WORDS:
            return True
    return False


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
