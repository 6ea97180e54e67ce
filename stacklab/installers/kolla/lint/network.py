"""Rules for the addresses and interfaces in a globals.yml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address

from stacklab.installers.kolla.lint.read import GlobalsFile
from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding
from stacklab.lint.readers.yaml_tree import YamlEntry
from stacklab.model.lab import Lab, Network
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
        "an interface that nodes do not have: an address, or one that the lab lacks",
        "prechecks: `interface ... not found`",
    ),
    rule(
        "kolla-external-interface",
        "the API's interface, or none, given to neutron",
        "kolla-ansible: production networking",
    ),
)
_BOOK = Book(RULES)
_OF_A_WHOLE_FILE = (
    "kolla_base_distro",
    "kolla_install_type",
    "network_interface",
    "neutron_external_interface",
    "openstack_release",
)

_VIP = "kolla_internal_vip_address"
_TRIED = 64  # addresses from the end of the APIs' network, of which one is proposed
# Those that globals.yml may set for all hosts; where hosts differ, the inventory has them.
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


def check(given: GlobalsFile) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    yield from _check_vip(given)
    yield from _check_interfaces(given)
    yield from _check_external_interface(given)


def _check_vip(given: GlobalsFile) -> Iterator[Finding]:
    """Yield what is wrong with the address of the APIs, the first of several reasons."""
    entry = given.root.get(_VIP)
    # An empty one is the default, written out.
    if entry is None or not entry.text:
        yield from _check_vip_missing(given, entry)
        return
    if entry.is_template:
        return
    address = _parse_address(entry.text)
    if address is None:
        yield _BOOK.finding(
            "kolla-vip-address",
            given.file,
            entry.line,
            effect=(
                f"keepalived cannot set {entry.text}, which is not an address (names go into "
                "kolla_internal_fqdn)"
            ),
            fix=f"{_VIP}: {_propose_address(given)}",
        )
    elif isinstance(address, IPv4Address):  # a lab has no IPv6 to hold one against
        yield from _check_vip_in_lab(given, entry, address)


def _parse_address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _check_vip_missing(given: GlobalsFile, entry: YamlEntry | None) -> Iterator[Finding]:
    """Yield a finding if neither the file nor a default gives the APIs an address."""
    # The VIP's own default is this variable, where somebody sets it.
    if given.root.get("kolla_internal_address") is not None:
        return
    # A file without any of these is one of several: kolla-ansible reads globals.d/, too.
    if entry is None and all(given.root.get(name) is None for name in _OF_A_WHOLE_FILE):
        return
    yield _BOOK.finding(
        "kolla-vip-missing",
        given.file,
        entry.line if entry is not None else 0,
        effect=f"the APIs do not get an address: {_VIP} is left out, and empty by default",
        fix=f"{_VIP}: {_propose_address(given)}",
    )


def _check_vip_in_lab(given: GlobalsFile, entry: YamlEntry, vip: IPv4Address) -> Iterator[Finding]:
    """Yield an address that keepalived cannot set on the lab's network of the APIs."""
    lab, network = given.scope.lab, given.api_network
    if lab is None or network is None:
        return
    if not given.is_on("enable_haproxy", default=True):
        # Then nothing sets the address, so it has to be the controller's own.
        yield from _check_vip_without_haproxy(given, entry, vip, lab, network)
        return
    owner = _owners_of_addresses(lab).get(vip)
    if owner is not None:
        yield _BOOK.finding(
            "kolla-vip-taken",
            given.file,
            entry.line,
            effect=(
                f"`kolla-ansible prechecks` stops, because {vip} answers to ping: it is {owner} own"
            ),
            fix=f"{_VIP}: {_propose_address(given)}",
        )
    elif vip not in network.cidr:
        yield _BOOK.finding(
            "kolla-vip-network",
            given.file,
            entry.line,
            effect=(
                f"`kolla-ansible prechecks` stops: {vip} is not in {network.cidr}, the network "
                f"of the APIs ({network.name})"
            ),
            fix=f"{_VIP}: {_propose_address(given)}",
        )


def _check_vip_without_haproxy(
    given: GlobalsFile, entry: YamlEntry, vip: IPv4Address, lab: Lab, network: Network
) -> Iterator[Finding]:
    """Yield an address that is not the controller's, where it has to be."""
    controller = lab.controller
    # With several controllers there is HAProxy, so the first one's address is the only right one.
    nic = controller.nic_on(network.name)
    if nic is None or vip == nic.address.ip:
        return
    yield _BOOK.finding(
        "kolla-vip-without-haproxy",
        given.file,
        entry.line,
        effect=(
            "services do not find keystone, because enable_haproxy is off and keepalived does "
            f"not set {vip}"
        ),
        fix=(f'{_VIP}: {nic.address.ip}, which is {controller.name}\'s, or enable_haproxy: "yes"'),
    )


def _owners_of_addresses(lab: Lab) -> Mapping[IPv4Address, str]:
    """Return whose each address is, the host's on the lab's networks included."""
    owners: dict[IPv4Address, str] = {}
    for node in lab.nodes:
        for nic in node.nics:
            owners[nic.address.ip] = f"{node.name}'s"
    for network in lab.networks:
        owners[network.host_address] = "the host's"
    return owners


def _propose_address(given: GlobalsFile) -> str:
    """Return a free address from the end of the APIs' network."""
    lab, network = given.scope.lab, given.api_network
    if lab is None or network is None:
        return "ADDRESS, a free one of network_interface's network"
    taken = {nic.address.ip for node in lab.nodes for nic in node.nics}
    last = network.cidr.broadcast_address - 1
    for offset in range(_TRIED):
        candidate = last - offset
        if candidate not in taken:
            return str(candidate)
    return str(last)


def _check_interfaces(given: GlobalsFile) -> Iterator[Finding]:
    """Yield variables that name a NIC which no node of the lab has, or an address."""
    yield from _find_addresses(given)
    lab = given.scope.lab
    if lab is None:
        return
    devices = {nic.device for node in lab.nodes for nic in node.nics}
    for name in _INTERFACES:
        entry = given.written_entry(name)
        if entry is None:
            continue
        # neutron_external_interface may be a list.
        foreign = [device for device in entry.text.split(",") if device.strip() not in devices]
        if foreign and _parse_address(foreign[0].strip()) is None:
            near = nearest(foreign[0], devices)
            yield _BOOK.finding(
                "kolla-interface",
                given.file,
                entry.line,
                effect=(
                    f"the play stops when it needs {foreign[0]}, which is not a NIC of any node "
                    f"of lab {lab.name}"
                ),
                fix=f"{name}: {near or ' or '.join(sorted(devices))}",
            )


def _find_addresses(given: GlobalsFile) -> Iterator[Finding]:
    """Yield addresses where the name of a NIC belongs."""
    for name in _INTERFACES:
        entry = given.written_entry(name)
        if entry is None or _parse_address(entry.text.partition("/")[0]) is None:
            continue
        fix = f"{name}: the name of a NIC, such as eth0"
        address = name.replace("_interface", "_address")
        if "_vip_" in name and given.root.get(address) is None:
            fix = f"{fix}; the address itself goes into {address}"
        yield _BOOK.finding(
            "kolla-interface",
            given.file,
            entry.line,
            effect=f"what needs {name} stops: {entry.text} is an address, and not a NIC's name",
            fix=fix,
        )


def _check_external_interface(given: GlobalsFile) -> Iterator[Finding]:
    """Yield the APIs' interface where neutron is to have one of its own."""
    entry = given.written_entry("neutron_external_interface")
    if entry is None:
        return
    if "lo" in [device.strip() for device in entry.text.split(",")]:
        yield _BOOK.finding(
            "kolla-external-interface",
            given.file,
            entry.line,
            effect="no instance reaches the outside: Open vSwitch refuses lo as a port of br-ex",
            fix="write a NIC without an address into neutron_external_interface",
        )
        return
    # Where the file names neither, the inventory does, and nothing can be said.
    default = given.text_of("network_interface")
    if entry.text == given.text_of("api_interface", default):
        yield _BOOK.finding(
            "kolla-external-interface",
            given.file,
            entry.line,
            effect=(
                f"you cannot reach the node any more: {entry.text}, the APIs' interface, loses "
                "its address when it becomes a port of br-ex"
            ),
            fix="write a NIC without an address into neutron_external_interface",
        )
