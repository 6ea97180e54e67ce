"""Rules for the addresses and interfaces in a globals.yml."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address

from stacklab.installers.kolla.lint.read import Globals
from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding
from stacklab.lint.yaml_tree import YamlEntry
from stacklab.words import nearest

_CHECK = "kolla-ansible@stable/2025.2:ansible/roles/loadbalancer/tasks/precheck.yml"
RULES = (
    rule(
        "kolla-vip-missing",
        "a missing kolla_internal_vip_address",
        "kolla-ansible@stable/2025.2:etc/kolla/globals.yml",
    ),
    rule("kolla-vip-address", "a VIP that is not an address", f"{_CHECK}: ansible.utils.ipaddr"),
    rule(
        "kolla-vip-taken",
        "a VIP that another machine has",
        f"{_CHECK}: `not pingable from any node`",
    ),
    rule(
        "kolla-vip-network",
        "a VIP outside the API's network",
        f"{_CHECK}: `same network as api_interface`",
    ),
    rule(
        "kolla-vip-without-haproxy",
        "a VIP without the haproxy that sets it",
        "kolla-ansible@stable/2025.2:etc/kolla/globals.yml",
    ),
    rule(
        "kolla-interface",
        "an interface that the lab's nodes do not have",
        "prechecks: `interface ... not found`",
    ),
    rule(
        "kolla-external-interface",
        "the API's interface given to neutron",
        "kolla-ansible: production networking",
    ),
)
_BOOK = Book(RULES)

_VIP = "kolla_internal_vip_address"
_INTERFACES = (
    "network_interface",
    "api_interface",
    "kolla_external_vip_interface",
    "tunnel_interface",
    "dns_interface",
    "storage_interface",
    "migration_interface",
    "neutron_external_interface",
)


def check(given: Globals) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    yield from _vip(given)
    yield from _interfaces(given)
    yield from _external(given)


def _vip(given: Globals) -> Iterator[Finding]:
    entry = given.root.get(_VIP)
    if entry is None or not (entry.text or entry.is_template):
        if given.root.get("kolla_internal_address") is None:
            yield _BOOK.finding(
                "kolla-vip-missing",
                given.file,
                entry.line if entry else 0,
                f"the APIs do not get an address: {_VIP} is left out, and empty by default",
                f"{_VIP}: {_free(given)}",
            )
        return
    if entry.is_template:
        return
    try:
        address = ip_address(entry.text)
    except ValueError:
        yield _BOOK.finding(
            "kolla-vip-address",
            given.file,
            entry.line,
            f"keepalived cannot set {entry.text}, which is not an address (names go "
            "into kolla_internal_fqdn)",
            f"{_VIP}: {_free(given)}",
        )
        return
    if isinstance(address, IPv4Address):
        yield from _place(given, entry, address)


def _place(given: Globals, entry: YamlEntry, vip: IPv4Address) -> Iterator[Finding]:
    lab, network = given.scope.lab, given.api_network
    if lab is None or network is None:
        return
    owners = {nic.address.ip: f"{node.name}'s" for node in lab.nodes for nic in node.nics}
    owners.update({network.host_address: "the host's" for network in lab.networks})
    if not given.is_on("enable_haproxy", default=True):
        nic = lab.controller.nic_on(network.name)
        if nic is not None and vip != nic.address.ip:
            yield _BOOK.finding(
                "kolla-vip-without-haproxy",
                given.file,
                entry.line,
                "services do not find keystone, because enable_haproxy is off and "
                f"keepalived does not set {vip}",
                f"{_VIP}: {nic.address.ip}, which is {lab.controller.name}'s, or enable_haproxy: "
                f'"yes"',
            )
        return
    if vip in owners:
        yield _BOOK.finding(
            "kolla-vip-taken",
            given.file,
            entry.line,
            f"`kolla-ansible prechecks` stops, because {vip} answers to ping: it is "
            f"{owners[vip]} own",
            f"{_VIP}: {_free(given)}",
        )
    elif vip not in network.cidr:
        yield _BOOK.finding(
            "kolla-vip-network",
            given.file,
            entry.line,
            f"`kolla-ansible prechecks` stops: {vip} is not in {network.cidr}, the "
            f"network of the APIs ({network.name})",
            f"{_VIP}: {_free(given)}",
        )


def _free(given: Globals) -> str:
    """Return a free address from the end of the APIs' network."""
    lab, network = given.scope.lab, given.api_network
    if lab is None or network is None:
        return "ADDRESS, a free one of network_interface's network"
    taken = {nic.address.ip for node in lab.nodes for nic in node.nics}
    last = int(network.cidr.broadcast_address) - 1
    return str(
        next((a for i in range(64) if (a := IPv4Address(last - i)) not in taken), IPv4Address(last))
    )


def _interfaces(given: Globals) -> Iterator[Finding]:
    lab = given.scope.lab
    if lab is None:
        return
    devices = {nic.device for node in lab.nodes for nic in node.nics}
    for name in _INTERFACES:
        entry = given.root.get(name)
        if entry is None or entry.is_template or not entry.text:
            continue
        foreign = [device for device in entry.text.split(",") if device.strip() not in devices]
        if foreign:
            near = nearest(foreign[0], devices)
            yield _BOOK.finding(
                "kolla-interface",
                given.file,
                entry.line,
                f"the play stops when it needs {foreign[0]}, which is not a NIC of "
                f"any node of lab {lab.name}",
                f"{name}: {near or ' or '.join(sorted(devices))}",
            )


def _external(given: Globals) -> Iterator[Finding]:
    entry = given.root.get("neutron_external_interface")
    if entry is None or entry.is_template or not entry.text:
        return
    if entry.text == given.text(
        "api_interface", given.text("network_interface")
    ):  # else the inventory has it
        yield _BOOK.finding(
            "kolla-external-interface",
            given.file,
            entry.line,
            f"you cannot reach the node any more: {entry.text}, the APIs' interface, "
            "loses its address when it becomes a port of br-ex",
            "write a NIC without an address into neutron_external_interface",
        )
