"""Rules for addresses and NICs in a localrc of contrail-installer."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.installers.devstack.lint.rules.networks.addresses import is_loopback
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding

_SH = "Juniper/contrail-installer@cfe0fc0:contrail.sh"
_CONFIG = "Juniper/contrail-installer@cfe0fc0:contrail_config_functions"
RULES = (
    # Where nodes find each other.
    rule("contrail-service-host", "a SERVICE_HOST that computes cannot reach", _SH),
    rule(
        "contrail-compute-host-ip",
        "a COMPUTE_HOST_IP that is missing, or not the vrouter's own",
        _SH,
    ),
    rule("contrail-control-ip", "a compute whose CONTROL_IP is itself", _SH),
    # The way out of the cloud, without a router.
    rule("contrail-gateway", "a software gateway that is half set, or on a compute", _SH),
    rule("contrail-list", "a list of more than one address", f"{_CONFIG}: check_replace_value"),
    # The NIC that the vrouter takes over.
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
# A software gateway needs all of them.
_GATEWAY = ("CONTRAIL_VGW_INTERFACE", "CONTRAIL_VGW_PUBLIC_SUBNET", "CONTRAIL_VGW_PUBLIC_NETWORK")
# Each is called a list, but only its first address is used: see contrail-list.
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
    for check_rule in (_check_hosts, _check_lists, _check_interface, _check_gateway):
        yield from check_rule(rc)


def is_compute(rc: Localrc) -> bool:
    """Return True for a localrc of a compute."""
    return rc.value("INSTALL_PROFILE") == "COMPUTE"


def is_known_to_bash_alone(rc: Localrc, name: str) -> bool:
    """Return True if the file sets a name, but one must run it to know the value."""
    return rc.is_set(name) and rc.values[name] is None


def _check_hosts(rc: Localrc) -> Iterator[Finding]:
    yield from _check_service_host(rc)
    release = rc.scope.release
    # Without this trait, contrail.sh registers nothing: people run provision_vrouter.py themselves.
    is_registered = release is None or bool(release.text("registers_computes"))
    if is_compute(rc) and is_registered:
        yield from _check_compute_host_ip(rc)


def _check_service_host(rc: Localrc) -> Iterator[Finding]:
    fix = "SERVICE_HOST=ADDRESS of the controller"
    if not rc.is_set("SERVICE_HOST"):
        yield _BOOK.finding(
            "contrail-service-host",
            rc.file,
            line=0,
            effect="contrail.sh waits for http://:8082 and gives up, because it does not set a "
            "default here",
            fix=fix,
        )
        return
    host = rc.value("SERVICE_HOST")
    # On a single node, 127.0.0.1 reaches everything.
    is_multi_node = rc.scope.lab is not None and len(rc.scope.lab.nodes) > 1
    if is_loopback(host) and (is_compute(rc) or is_multi_node):
        meaning = "this compute" if is_compute(rc) else "the node itself on every node"
        yield _BOOK.finding(
            "contrail-service-host",
            rc.file,
            rc.line("SERVICE_HOST"),
            effect=f"the vrouter is registered with an address that other nodes cannot reach: "
            f"{host} is {meaning}",
            fix=fix,
        )


def _check_compute_host_ip(rc: Localrc) -> Iterator[Finding]:
    compute_host = rc.value("COMPUTE_HOST_IP")
    if not rc.is_set("COMPUTE_HOST_IP") or is_loopback(compute_host):
        yield _BOOK.finding(
            "contrail-compute-host-ip",
            rc.file,
            rc.line("COMPUTE_HOST_IP"),
            effect="other nodes cannot send tunnels to this compute: its vrouter is registered as "
            "127.0.0.1",
            fix="COMPUTE_HOST_IP=ADDRESS of this node",
        )
    else:
        yield from _check_own_address(rc, compute_host)
    if compute_host and rc.value("CONTROL_IP") == compute_host:
        yield _BOOK.finding(
            "contrail-control-ip",
            rc.file,
            rc.line("CONTROL_IP"),
            effect="the vrouter agent looks for its control node on this compute, which does not "
            "run one",
            fix="CONTROL_IP=$SERVICE_HOST",
        )


def _check_own_address(rc: Localrc, compute_host: str) -> Iterator[Finding]:
    """Yield a COMPUTE_HOST_IP that is not on PHYSICAL_INTERFACE.

    The vrouter sends by that NIC; others send to the address that is registered.
    """
    node = rc.scope.node
    # A name instead of an address may be on any NIC.
    if node is None or rc.address("COMPUTE_HOST_IP") is None:
        return
    vrouter_device = rc.value("PHYSICAL_INTERFACE")
    device_of = {str(nic.address.ip): nic.device for nic in node.nics}
    vrouter_addresses = [ip for ip, device in device_of.items() if device == vrouter_device]
    if compute_host not in device_of:
        wrong = f"{compute_host} is not an address of {node.name}"
    elif vrouter_addresses and compute_host != vrouter_addresses[0]:
        device = device_of[compute_host]
        wrong = f"{compute_host} is on {device}, and the vrouter on {vrouter_device}"
    else:
        return
    # Where the vrouter's NIC is wrong, too, the finding about it comes beside this one.
    right = vrouter_addresses[0] if vrouter_addresses else " or ".join(device_of)
    yield _BOOK.finding(
        "contrail-compute-host-ip",
        rc.file,
        rc.line("COMPUTE_HOST_IP"),
        effect=f"tunnels do not reach this compute's vrouter: {wrong}",
        fix=f"COMPUTE_HOST_IP={right}",
    )


def _check_gateway(rc: Localrc) -> Iterator[Finding]:
    # What only bash knows may be a value, or nothing: then nothing is claimed.
    given = [name for name in _GATEWAY if rc.value(name)]
    unknown = [name for name in _GATEWAY if is_known_to_bash_alone(rc, name)]
    if not given or unknown:
        return
    line = rc.line(given[0])
    missing = [name for name in _GATEWAY if name not in given]
    if is_compute(rc):
        yield _BOOK.finding(
            "contrail-gateway",
            rc.file,
            line,
            effect="every compute becomes a gateway for the same public network, and answers come "
            "back by any of them",
            fix=f"remove {', '.join(given)} from computes",
        )
    elif missing:
        yield _BOOK.finding(
            "contrail-gateway",
            rc.file,
            line,
            effect="contrail.sh only makes a gateway if all three are set, but its `stop` removes "
            "a route and an interface all the same",
            fix=f"set {', '.join(missing)} too, or none",
        )


def _check_lists(rc: Localrc) -> Iterator[Finding]:
    for name in _LISTS:
        # A value of one word, or none, makes one part.
        addresses = re.split(r"[\s,]+", rc.value(name).strip())
        if len(addresses) > 1:
            yield _BOOK.finding(
                "contrail-list",
                rc.file,
                rc.line(name),
                effect="contrail.sh's sed writes only the first address into the configuration",
                fix=f"write one address into {name}: contrail-installer does not set up a cluster",
            )


def _check_interface(rc: Localrc) -> Iterator[Finding]:
    name = "PHYSICAL_INTERFACE"
    device = rc.value(name)
    if not device and not is_known_to_bash_alone(rc, name):
        yield _BOOK.finding(
            "contrail-interface",
            rc.file,
            rc.line(name),
            effect="contrail.sh configure stops, because it does not know the vrouter's NIC",
            fix=f"{name}=eth1, the NIC with this node's address",
        )
        return
    node = rc.scope.node
    if node is None:
        return
    # Without a value that is known here, this is about the device "", which no node has.
    other_devices = [nic.device for nic in node.nics if nic.device != device]
    if len(other_devices) == len(node.nics):
        known = ", ".join(f"{nic.device} on {nic.network}" for nic in node.nics)
        yield _BOOK.finding(
            "contrail-interface",
            rc.file,
            rc.line(name),
            effect=f"contrail.sh configure stops: {node.name} does not have a NIC called {device}",
            fix=f"{name}=DEVICE, one of: {known}",
        )
    elif len(node.nics) > 1 and device == node.access.device:
        yield _BOOK.finding(
            "contrail-access-interface",
            rc.file,
            rc.line(name),
            effect=f"the host cannot log in until the vrouter is up: it takes over {device}, by "
            f"which the host logs in",
            fix=f"{name}={' or '.join(other_devices)}",
        )
