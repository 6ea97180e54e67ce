"""Rules for addresses and NICs in a localrc of contrail-installer."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stacklab.installers.devstack.lint.addresses import is_loopback
from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding

_SH = "Juniper/contrail-installer@cfe0fc0:contrail.sh"
_CONFIG = "Juniper/contrail-installer@cfe0fc0:contrail_config_functions"
RULES = (
    rule("contrail-service-host", "a SERVICE_HOST that computes cannot reach", _SH),
    rule(
        "contrail-compute-host-ip",
        "a COMPUTE_HOST_IP that is missing, or not the vrouter's own",
        _SH,
    ),
    rule("contrail-control-ip", "a compute whose CONTROL_IP is itself", _SH),
    rule("contrail-gateway", "a software gateway that is half set, or on a compute", _SH),
    rule("contrail-list", "a list of more than one address", f"{_CONFIG}: check_replace_value"),
    rule(
        "contrail-interface",
        "a PHYSICAL_INTERFACE that is missing or not the node's",
        f"{_CONFIG}: check_dev",
    ),
    warning(
        "contrail-access-interface",
        "PHYSICAL_INTERFACE on the NIC by which the host logs in",
        f"{_CONFIG}",
    ),
)
_BOOK = Book(RULES)
_GATEWAY = ("CONTRAIL_VGW_INTERFACE", "CONTRAIL_VGW_PUBLIC_SUBNET", "CONTRAIL_VGW_PUBLIC_NETWORK")
_LISTS = (
    "CASSANDRA_IP_LIST",
    "RABBITMQ_IP_LIST",
    "KAFKA_IP_LIST",
    "COLLECTOR_IP_LIST",
    "CONTROL_IP_LIST",
    "DNS_IP_LIST",
)


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    for rule_check in (_hosts, _lists, _device, _gateway):
        yield from rule_check(rc)


def is_compute(rc: Localrc) -> bool:
    """Return True for a localrc of a compute."""
    return rc.value("INSTALL_PROFILE") == "COMPUTE"


def _hosts(rc: Localrc) -> Iterator[Finding]:
    yield from _service_host(rc)
    release = rc.scope.release
    # Without this trait, contrail.sh registers nothing: people run provision_vrouter.py themselves.
    is_registered = release is None or bool(release.text("registers_computes"))
    if is_compute(rc) and is_registered:
        yield from _compute_host_ip(rc)


def _service_host(rc: Localrc) -> Iterator[Finding]:
    host = rc.value("SERVICE_HOST")
    is_multi_node = rc.scope.lab is not None and len(rc.scope.lab.nodes) > 1
    if not rc.is_set("SERVICE_HOST"):
        yield _BOOK.finding(
            "contrail-service-host",
            rc.file,
            0,
            "contrail.sh waits for http://:8082 and gives up, because it does not set a default "
            "here",
            "SERVICE_HOST=ADDRESS of the controller",
        )
    elif is_loopback(host) and (is_compute(rc) or is_multi_node):
        meaning = "this compute" if is_compute(rc) else "the node itself on every node"
        yield _BOOK.finding(
            "contrail-service-host",
            rc.file,
            rc.line("SERVICE_HOST"),
            f"the vrouter is registered with an address that other nodes cannot reach: {host} is "
            f"{meaning}",
            "SERVICE_HOST=ADDRESS of the controller",
        )


def _compute_host_ip(rc: Localrc) -> Iterator[Finding]:
    compute_host = rc.value("COMPUTE_HOST_IP")
    if not rc.is_set("COMPUTE_HOST_IP") or is_loopback(compute_host):
        yield _BOOK.finding(
            "contrail-compute-host-ip",
            rc.file,
            rc.line("COMPUTE_HOST_IP"),
            "other nodes cannot send tunnels to this compute: its vrouter is registered as "
            "127.0.0.1",
            "COMPUTE_HOST_IP=ADDRESS of this node",
        )
    else:
        yield from _own_address(rc, compute_host)
    if compute_host and rc.value("CONTROL_IP") == compute_host:
        yield _BOOK.finding(
            "contrail-control-ip",
            rc.file,
            rc.line("CONTROL_IP"),
            "the vrouter agent looks for its control node on this compute, which does not run one",
            "CONTROL_IP=$SERVICE_HOST",
        )


def _own_address(rc: Localrc, compute_host: str) -> Iterator[Finding]:
    """Yield a COMPUTE_HOST_IP that is not on PHYSICAL_INTERFACE.

    The vrouter sends by that NIC; others send to the address that is registered.
    """
    node, device = rc.scope.node, rc.value("PHYSICAL_INTERFACE")
    if node is None or not compute_host or rc.address("COMPUTE_HOST_IP") is None:
        return
    here = {str(nic.address.ip): nic.device for nic in node.nics}
    wanted = next((ip for ip, name in here.items() if name == device), "")
    if compute_host in here and (compute_host == wanted or not wanted):
        return
    what = (
        f"{compute_host} is on {here[compute_host]}, and the vrouter on {device}"
        if compute_host in here
        else f"{compute_host} is not an address of {node.name}"
    )
    yield _BOOK.finding(
        "contrail-compute-host-ip",
        rc.file,
        rc.line("COMPUTE_HOST_IP"),
        f"tunnels do not reach this compute's vrouter: {what}",
        f"COMPUTE_HOST_IP={wanted or ' or '.join(here)}",
    )


def _gateway(rc: Localrc) -> Iterator[Finding]:
    given = [name for name in _GATEWAY if rc.value(name)]
    if not given or any(rc.is_set(name) and rc.values[name] is None for name in _GATEWAY):
        return
    if is_compute(rc):
        yield _BOOK.finding(
            "contrail-gateway",
            rc.file,
            rc.line(given[0]),
            "every compute becomes a gateway for the same public network, and answers come back by "
            "any of them",
            f"remove {', '.join(given)} from computes",
        )
    elif len(given) < len(_GATEWAY):
        missing = ", ".join(name for name in _GATEWAY if name not in given)
        yield _BOOK.finding(
            "contrail-gateway",
            rc.file,
            rc.line(given[0]),
            "contrail.sh only makes a gateway if all three are set, but its `stop` removes a route "
            "and an interface all the same",
            f"set {missing} too, or none",
        )


def _lists(rc: Localrc) -> Iterator[Finding]:
    for name in _LISTS:
        if len(re.split(r"[\s,]+", rc.value(name).strip())) > 1:
            yield _BOOK.finding(
                "contrail-list",
                rc.file,
                rc.line(name),
                "contrail.sh's sed writes only the first address into the configuration",
                f"write one address into {name}: contrail-installer does not set up a cluster",
            )


def _device(rc: Localrc) -> Iterator[Finding]:
    name, value, node = "PHYSICAL_INTERFACE", rc.value("PHYSICAL_INTERFACE"), rc.scope.node
    if not value and rc.values.get(name, "") is not None:
        yield _BOOK.finding(
            "contrail-interface",
            rc.file,
            rc.line(name),
            "contrail.sh configure stops, because it does not know the vrouter's NIC",
            f"{name}=eth1, the NIC with this node's address",
        )
    elif node is not None and value not in [nic.device for nic in node.nics]:
        known = ", ".join(f"{nic.device} on {nic.network}" for nic in node.nics)
        yield _BOOK.finding(
            "contrail-interface",
            rc.file,
            rc.line(name),
            f"contrail.sh configure stops: {node.name} does not have a NIC called {value}",
            f"{name}=DEVICE, one of: {known}",
        )
    elif node is not None and len(node.nics) > 1 and value == node.access.device:
        others = [nic.device for nic in node.nics if nic.device != value]
        yield _BOOK.finding(
            "contrail-access-interface",
            rc.file,
            rc.line(name),
            f"the host cannot log in until the vrouter is up: it takes over {value}, by which the "
            f"host logs in",
            f"{name}={' or '.join(others)}",
        )
