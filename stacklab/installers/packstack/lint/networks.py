"""Rules for the tenants' networks, and for ranges of addresses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import AddressValueError, IPv4Address, IPv4Network

from stacklab.installers.packstack.lint.bridges import side_of
from stacklab.installers.packstack.lint.hosts import cloud_hosts
from stacklab.installers.packstack.lint.ini import AnswerEntry
from stacklab.installers.packstack.lint.read import (
    NO_NOVA_NETWORK,
    OVN_DEFAULT,
    AnswerFile,
    split_list,
)
from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding
from stacklab.model.lab import Lab
from stacklab.words import nearest

_PLUGINS = "packstack@26.0.0:packstack/plugins"
_NEUTRON = f"{_PLUGINS}/neutron_350.py"
RULES = (
    rule(
        "packstack-nova-network",
        "CONFIG_NEUTRON_INSTALL=n without nova-network",
        f"{_NEUTRON}: validate_neutron",
    ),
    rule(
        "packstack-ovn-overrides",
        "a value that Packstack replaces because of OVN",
        f"{_NEUTRON}: initSequences",
    ),
    rule(
        "packstack-mechanism",
        "ML2's mechanism drivers without the L2 agent's",
        f"{_NEUTRON}: initSequences",
    ),
    rule(
        "packstack-network-type",
        "a type of tenant networks without a driver of ML2",
        "openstack/neutron@29.0.0:neutron/plugins/ml2/managers.py: TypeManager",
    ),
    rule(
        "packstack-vlan-ranges",
        "tenant networks of VLANs without a VLAN",
        "openstack/neutron@29.0.0:neutron/plugins/ml2/managers.py: NoNetworkAvailable",
    ),
    rule("packstack-interface", "an interface that the lab's nodes do not have", "the lab"),
    rule(
        "packstack-overlap",
        "ranges of addresses that overlap",
        "the lab; one address cannot be in two places",
    ),
)
_BOOK = Book(RULES)
# Keys whose value is a range that instances get addresses of.
_RANGES = (
    "CONFIG_NOVA_NETWORK_FIXEDRANGE",
    "CONFIG_NOVA_NETWORK_FLOATRANGE",
    "CONFIG_PROVISION_DEMO_FLOATRANGE",
    "CONFIG_PROVISION_TEMPEST_FLOATRANGE",
)
# Keys whose value is a NIC, or a list of them.
_DEVICES = (
    "CONFIG_NEUTRON_OVN_TUNNEL_IF",
    "CONFIG_NEUTRON_OVS_TUNNEL_IF",
    "CONFIG_NOVA_NETWORK_PUBIF",
    "CONFIG_NOVA_NETWORK_PRIVIF",
    "CONFIG_NOVA_COMPUTE_PRIVIF",
)
_INSTALL = "CONFIG_NEUTRON_INSTALL"
_VPNAAS = "CONFIG_NEUTRON_VPNAAS"
_TENANT_TYPES = "CONFIG_NEUTRON_ML2_TENANT_NETWORK_TYPES"
_TYPE_DRIVERS = "CONFIG_NEUTRON_ML2_TYPE_DRIVERS"
_VLAN_RANGES = "CONFIG_NEUTRON_ML2_VLAN_RANGES"
_AGENTS = ("openvswitch", "ovn", "linuxbridge")  # and the mechanism drivers of these names


def check(reading: AnswerFile) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    yield from _check_nova_network(reading)
    yield from _check_ovn(reading)
    yield from _check_mechanism(reading)
    yield from _check_types(reading)
    yield from _check_vlan_ranges(reading)
    yield from _check_devices(reading)
    yield from _check_ranges(reading)


def _check_nova_network(reading: AnswerFile) -> Iterator[Finding]:
    """Yield a cloud without neutron, of a release that has nothing else."""
    if reading.given_value(_INSTALL) != "n" or reading.is_before(NO_NOVA_NETWORK):
        return
    yield _BOOK.finding(
        "packstack-nova-network",
        reading.file,
        reading.given[_INSTALL].line,
        effect=(
            f"Packstack {reading.release} stops: nova-network is gone since Ocata, so neutron "
            "must be installed"
        ),
        fix=f"{_INSTALL}=y",
    )


def _check_ovn(reading: AnswerFile) -> Iterator[Finding]:
    """Yield values that are given and lost, because Packstack sets them itself with OVN."""
    if reading.l2_agent != "ovn" or reading.value_of_key(_INSTALL) != "y":
        return
    types = reading.given_value(_TENANT_TYPES)
    # Nothing is lost of an empty one, nor of what Packstack would write itself.
    if types not in ("", "geneve"):
        yield _BOOK.finding(
            "packstack-ovn-overrides",
            reading.file,
            reading.given[_TENANT_TYPES].line,
            effect=(
                f"Packstack sets it to geneve, as CONFIG_NEUTRON_L2_AGENT is ovn: {types} is lost"
            ),
            fix=f"{_TENANT_TYPES}=geneve, or CONFIG_NEUTRON_L2_AGENT=openvswitch",
        )
    if reading.given_value(_VPNAAS) == "y":
        yield _BOOK.finding(
            "packstack-ovn-overrides",
            reading.file,
            reading.given[_VPNAAS].line,
            effect="Packstack sets it to n, as CONFIG_NEUTRON_L2_AGENT is ovn",
            fix=f"{_VPNAAS}=n, or CONFIG_NEUTRON_L2_AGENT=openvswitch",
        )


def _check_mechanism(reading: AnswerFile) -> Iterator[Finding]:
    """Yield a list of mechanism drivers that has another agent's driver in place of the agent's."""
    agent = reading.l2_agent
    entry = reading.read_entry("CONFIG_NEUTRON_ML2_MECHANISM_DRIVERS")
    if entry is None:
        return
    drivers = split_list(entry.value)
    # Drivers of no agent, such as l2population, go with any.
    others = [name for name in drivers if name in _AGENTS and name != agent]
    if agent not in _AGENTS or agent in drivers or not others:
        return
    effect = f"neutron does not bind ports: CONFIG_NEUTRON_L2_AGENT is {agent}, not {others[0]}"
    # Since then, Packstack's plugin sets the driver of the agent by itself.
    if not reading.is_before(OVN_DEFAULT):
        effect = (
            f"Packstack sets it to {agent}, as CONFIG_NEUTRON_L2_AGENT is; {entry.value} is lost"
        )
    mended = [agent, *(name for name in drivers if name not in _AGENTS)]
    yield _BOOK.finding(
        "packstack-mechanism",
        reading.file,
        entry.line,
        effect=effect,
        fix=f"{entry.key}={','.join(mended)}, or CONFIG_NEUTRON_L2_AGENT={others[0]}",
    )


def _check_types(reading: AnswerFile) -> Iterator[Finding]:
    """Yield types of tenant networks without a type driver: neutron-server ends at them."""
    names = (_TENANT_TYPES, _TYPE_DRIVERS)
    given = [reading.given[name] for name in names if name in reading.given]
    if not _are_types_used(reading, given):
        return
    loaded = split_list(reading.value_of_key(_TYPE_DRIVERS))
    wanted = split_list(reading.value_of_key(_TENANT_TYPES))
    missing = [name for name in wanted if name not in loaded]
    if not missing:
        return
    fixes = []
    usable = [name for name in loaded if name != "flat"]  # which only an admin's networks are
    if usable:
        fixes.append(f"{_TENANT_TYPES}={usable[0]}")
    fixes.append(f"{_TYPE_DRIVERS}={','.join([*loaded, *missing])}")
    # Of two keys the file may hold one, and the other one's default does not fit it.
    by_default = "" if _TENANT_TYPES in reading.given else " by default"
    yield _BOOK.finding(
        "packstack-network-type",
        reading.file,
        given[0].line,
        effect=(
            f"neutron-server does not start: {_TENANT_TYPES} asks{by_default} for "
            f"{', '.join(missing)}, which {_TYPE_DRIVERS} ({','.join(loaded)}) does not load"
        ),
        fix=" or ".join(fixes),
    )


def _are_types_used(reading: AnswerFile, given: list[AnswerEntry]) -> bool:
    """Return True if neutron gets the types as the file gives them, and they can be told."""
    # Older releases have other defaults than the table's: without both keys nothing is known.
    is_old = reading.is_before(OVN_DEFAULT)
    needed = 2 if is_old else 1
    if len(given) < needed:
        return False
    for entry in given:
        if not entry.value or entry.joined:
            return False
    if reading.read_entry(given[0].key) is None:
        return False
    # With OVN, newer releases of Packstack set the types themselves (neutron_350.py).
    return is_old or reading.l2_agent != "ovn"


def _check_vlan_ranges(reading: AnswerFile) -> Iterator[Finding]:
    """Yield VLANs as the only type of tenant networks, without a range to take them of."""
    types = reading.read_entry(_TENANT_TYPES)
    if types is None or types.joined or set(split_list(types.value)) != {"vlan"}:
        return
    if reading.value_of_key(_VLAN_RANGES) or not _is_ml2_as_given(reading):
        return
    # Without that driver neutron-server does not even start, which is told already.
    are_drivers_known = _TYPE_DRIVERS in reading.given or not reading.is_before(OVN_DEFAULT)
    if are_drivers_known and "vlan" not in split_list(reading.value_of_key(_TYPE_DRIVERS)):
        return
    entry = reading.given.get(_VLAN_RANGES, types)
    yield _BOOK.finding(
        "packstack-vlan-ranges",
        reading.file,
        entry.line,
        effect=(
            "tenants cannot make a network: neutron does not have a VLAN to give, because "
            f"{_VLAN_RANGES} is empty, and {_TENANT_TYPES} is vlan"
        ),
        fix=f"{_VLAN_RANGES}=PHYSNET:FIRST:LAST, with PHYSNET in the L2 agent's mappings",
    )


def _is_ml2_as_given(reading: AnswerFile) -> bool:
    """Return True if neutron is installed, and gets ML2's types as the file gives them."""
    if reading.given_value(_INSTALL) == "n":
        return False
    if reading.given_value("CONFIG_NEUTRON_L2_PLUGIN") not in ("", "ml2"):
        return False  # until Icehouse there were others
    return reading.is_before(OVN_DEFAULT) or reading.l2_agent != "ovn"


def _check_devices(reading: AnswerFile) -> Iterator[Finding]:
    """Yield NICs that the lab's nodes do not have; without a lab, any may exist."""
    lab = reading.scope.lab
    # With CONFIG_USE_SUBNETS, networks stand in place of NICs.
    if lab is None or reading.value_of_key("CONFIG_USE_SUBNETS") == "y":
        return
    devices = {nic.device for node in lab.nodes for nic in node.nics}
    known = {*devices, "lo"}
    for entry, _key in reading.read_entries():
        for device in _devices_of_entry(entry):
            if device in known:
                continue
            near = nearest(device, known)
            yield _BOOK.finding(
                "packstack-interface",
                reading.file,
                entry.line,
                effect=(
                    f"lab {lab.name} does not have a NIC called {device} on any node, so Packstack "
                    "fails to set it up"
                ),
                fix=f"write {near or ' or '.join(sorted(known - {'lo'}))}",
            )


def _devices_of_entry(entry: AnswerEntry) -> list[str]:
    """Return the NICs that an entry names."""
    if entry.key.endswith("_BRIDGE_IFACES"):
        devices = [side_of(pair, 1) for pair in split_list(entry.value)]
        return [device for device in devices if device]
    return split_list(entry.value) if entry.key in _DEVICES else []


def _check_ranges(reading: AnswerFile) -> Iterator[Finding]:
    """Yield ranges that collide with one further up, or with the lab's networks."""
    taken_ranges: list[tuple[str, IPv4Network]] = []  # a key may be there twice
    for entry, _key in reading.read_entries():
        network = _parse_network(entry.value)
        if entry.key not in _RANGES or network is None:
            continue
        effect = _find_collision(reading, network, taken_ranges, is_floating="FLOAT" in entry.key)
        if effect:
            yield _BOOK.finding(
                "packstack-overlap",
                reading.file,
                entry.line,
                effect=f"{network} {effect}",
                fix="write a range that is not in use",
            )
        if "PROVISION" not in entry.key:  # the demo's and Tempest's may well be the same
            taken_ranges.append((entry.key, network))


def _parse_network(text: str) -> IPv4Network | None:
    try:
        return IPv4Network(text, strict=False)
    except ValueError:
        return None


def _find_collision(
    reading: AnswerFile,
    network: IPv4Network,
    taken_ranges: Sequence[tuple[str, IPv4Network]],
    *,
    is_floating: bool,
) -> str:
    """Return what a range collides with, and the effect; "" if it is free."""
    for name, taken in taken_ranges:
        if taken.overlaps(network):
            return f"overlaps {name}, {taken}: two machines can get the same address"
    lab = reading.scope.lab
    if lab is not None:
        return _find_collision_in_lab(lab, network, is_floating=is_floating)
    if is_floating:  # without a lab, floating addresses may well be on the hosts' own network
        return ""
    for host in sorted(cloud_hosts(reading)):
        if _is_address_in(host, network):
            return f"holds {host}, a host of this cloud: an instance can get its address"
    return ""


def _find_collision_in_lab(lab: Lab, network: IPv4Network, *, is_floating: bool) -> str:
    """Return which of the lab's networks a range collides with; "" for none."""
    for lab_network in lab.networks:
        # Floating addresses are meant to be on the network that carries them.
        is_meant = is_floating and lab_network.name == lab.stack.external_network
        if lab_network.cidr.overlaps(network) and not is_meant:
            return (
                f"overlaps the lab's network {lab_network.name}, {lab_network.cidr}: instances "
                "and nodes can get the same address"
            )
    return ""


def _is_address_in(host: str, network: IPv4Network) -> bool:
    """Return True if a host is written as an address of the network; a name is not looked up."""
    try:
        return IPv4Address(host) in network
    except AddressValueError:
        return False
