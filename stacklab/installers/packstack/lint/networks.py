"""Rules for the tenants' networks, and for ranges of addresses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import AddressValueError, IPv4Address, IPv4Network

from stacklab.installers.packstack.lint.bridges import side_of, split_list
from stacklab.installers.packstack.lint.hosts import cloud_hosts
from stacklab.installers.packstack.lint.ini import AnswerEntry
from stacklab.installers.packstack.lint.read import (
    NO_NOVA_NETWORK,
    OVN_DEFAULT,
    AnswerFile,
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
    rule("packstack-interface", "an interface that the lab's nodes do not have", "the lab"),
    rule(
        "packstack-overlap",
        "ranges of addresses that overlap",
        "the lab; one address cannot be in two places",
    ),
)
_BOOK = Book(RULES)
_RANGES = (
    "CONFIG_NOVA_NETWORK_FIXEDRANGE",
    "CONFIG_NOVA_NETWORK_FLOATRANGE",
    "CONFIG_PROVISION_DEMO_FLOATRANGE",
    "CONFIG_PROVISION_TEMPEST_FLOATRANGE",
)
_DEVICES = (
    "CONFIG_NEUTRON_OVN_TUNNEL_IF",
    "CONFIG_NEUTRON_OVS_TUNNEL_IF",
    "CONFIG_NOVA_NETWORK_PUBIF",
    "CONFIG_NOVA_NETWORK_PRIVIF",
    "CONFIG_NOVA_COMPUTE_PRIVIF",
)
_ML2 = "CONFIG_NEUTRON_ML2"
_AGENTS = ("openvswitch", "ovn", "linuxbridge")  # and the mechanism drivers of these names


def check(reading: AnswerFile) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    for rule_check in (_networking, _ovn, _mechanism, _types, _devices, _ranges):
        yield from rule_check(reading)


def _networking(reading: AnswerFile) -> Iterator[Finding]:
    entry = reading.given.get("CONFIG_NEUTRON_INSTALL")
    if (
        entry is None
        or entry.value != "n"
        or reading.table.is_before(reading.release, NO_NOVA_NETWORK)
    ):
        return
    yield _BOOK.finding(
        "packstack-nova-network",
        reading.file,
        entry.line,
        f"Packstack {reading.release} stops: nova-network is gone since Ocata, so neutron must be "
        f"installed",
        "CONFIG_NEUTRON_INSTALL=y",
    )


def _ovn(reading: AnswerFile) -> Iterator[Finding]:
    if reading.l2_agent != "ovn" or reading.value("CONFIG_NEUTRON_INSTALL") != "y":
        return
    types = reading.given.get("CONFIG_NEUTRON_ML2_TENANT_NETWORK_TYPES")
    if types is not None and types.value not in ("", "geneve"):
        yield _BOOK.finding(
            "packstack-ovn-overrides",
            reading.file,
            types.line,
            f"Packstack sets it to geneve, as CONFIG_NEUTRON_L2_AGENT is ovn: "
            f"{types.value} is lost",
            f"{types.key}=geneve, or CONFIG_NEUTRON_L2_AGENT=openvswitch",
        )
    vpn = reading.given.get("CONFIG_NEUTRON_VPNAAS")
    if vpn is not None and vpn.value == "y":
        yield _BOOK.finding(
            "packstack-ovn-overrides",
            reading.file,
            vpn.line,
            "Packstack sets it to n, as CONFIG_NEUTRON_L2_AGENT is ovn",
            "CONFIG_NEUTRON_VPNAAS=n, or CONFIG_NEUTRON_L2_AGENT=openvswitch",
        )


def _mechanism(reading: AnswerFile) -> Iterator[Finding]:
    entry, agent = reading.given.get(f"{_ML2}_MECHANISM_DRIVERS"), reading.l2_agent
    key = reading.key(entry) if entry else None
    if entry is None or key is None or reading.unmet(key.group):
        return
    drivers = split_list(entry.value)
    others = [name for name in drivers if name in _AGENTS and name != agent]
    if agent not in _AGENTS or agent in drivers or not others:
        return
    effect = f"neutron does not bind ports: CONFIG_NEUTRON_L2_AGENT is {agent}, not {others[0]}"
    if not reading.table.is_before(reading.release, OVN_DEFAULT):
        effect = (
            f"Packstack sets it to {agent}, as CONFIG_NEUTRON_L2_AGENT is; {entry.value} is lost"
        )
    mended = ",".join([agent, *(name for name in drivers if name not in _AGENTS)])
    yield _BOOK.finding(
        "packstack-mechanism",
        reading.file,
        entry.line,
        effect,
        f"{entry.key}={mended}, or CONFIG_NEUTRON_L2_AGENT={others[0]}",
    )


def _types(reading: AnswerFile) -> Iterator[Finding]:
    """Yield types of tenant networks without a type driver: neutron-server ends at them."""
    tenants, drivers = f"{_ML2}_TENANT_NETWORK_TYPES", f"{_ML2}_TYPE_DRIVERS"
    given = [reading.given[name] for name in (tenants, drivers) if name in reading.given]
    if not _are_types_used(reading, given):
        return
    known = split_list(reading.value(drivers))
    missing = [name for name in split_list(reading.value(tenants)) if name not in known]
    if not missing:
        return
    usable = [name for name in known if name != "flat"]  # which only an admin's networks are
    fixes = [f"{tenants}={name}" for name in usable[:1]]
    fixes.append(f"{drivers}={','.join([*known, *missing])}")
    by_default = "" if tenants in reading.given else " by default"
    yield _BOOK.finding(
        "packstack-network-type",
        reading.file,
        given[0].line,
        f"neutron-server does not start: {tenants} asks{by_default} for {', '.join(missing)}, "
        f"which {drivers} ({','.join(known)}) does not load",
        " or ".join(fixes),
    )


def _are_types_used(reading: AnswerFile, given: Sequence[AnswerEntry]) -> bool:
    """Return True if neutron gets the types as the file gives them, and they can be told."""
    # Older releases have other defaults than the table's: without both keys nothing is known.
    is_old = reading.table.is_before(reading.release, OVN_DEFAULT)
    if not given or (is_old and len(given) < 2):
        return False
    if any(not entry.value or entry.joined for entry in given):
        return False
    key = reading.key(given[0])
    if key is None or reading.unmet(key.group):
        return False
    # With OVN, newer releases of Packstack set the types themselves (neutron_350.py).
    return is_old or reading.l2_agent != "ovn"


def _devices(reading: AnswerFile) -> Iterator[Finding]:
    lab = reading.scope.lab
    if lab is None or reading.value("CONFIG_USE_SUBNETS") == "y":
        return
    known = {nic.device for node in lab.nodes for nic in node.nics} | {"lo"}
    for entry in reading.answers.general:
        key = reading.keys.get(entry.key)
        if key is None or reading.unmet(key.group):
            continue
        for device in _devices_of(entry):
            if device in known:
                continue
            near = nearest(device, known)
            yield _BOOK.finding(
                "packstack-interface",
                reading.file,
                entry.line,
                f"lab {lab.name} does not have a NIC called {device} on any node, so Packstack "
                f"fails to set it up",
                f"write {near or ' or '.join(sorted(known - {'lo'}))}",
            )


def _devices_of(entry: AnswerEntry) -> list[str]:
    """Return the NICs that an entry names."""
    if entry.key.endswith("_BRIDGE_IFACES"):
        devices = [side_of(pair, 1) for pair in split_list(entry.value)]
        return [device for device in devices if device]
    return split_list(entry.value) if entry.key in _DEVICES else []


def _network(text: str) -> IPv4Network | None:
    try:
        return IPv4Network(text, strict=False)
    except ValueError:
        return None


def _ranges(reading: AnswerFile) -> Iterator[Finding]:
    seen: list[tuple[str, IPv4Network]] = []
    for entry in reading.answers.general:
        key = reading.keys.get(entry.key)
        network = _network(entry.value)
        if entry.key not in _RANGES or key is None or network is None or reading.unmet(key.group):
            continue
        if effect := _collision(reading, network, seen, is_floating="FLOAT" in entry.key):
            yield _BOOK.finding(
                "packstack-overlap",
                reading.file,
                entry.line,
                f"{network} {effect}",
                "write a range that is not in use",
            )
        if "PROVISION" not in entry.key:  # the demo's and Tempest's may well be the same
            seen.append((entry.key, network))


def _collision(
    reading: AnswerFile,
    network: IPv4Network,
    seen: list[tuple[str, IPv4Network]],
    *,
    is_floating: bool,
) -> str:
    """Return what a range collides with, and the effect; "" if it is free."""
    for other, taken in seen:
        if taken.overlaps(network):
            return f"overlaps {other}, {taken}: two machines can get the same address"
    lab = reading.scope.lab
    if lab is not None:
        return _collision_in_lab(lab, network, is_floating=is_floating)
    if is_floating:  # without a lab, floating addresses may well be on the hosts' own network
        return ""
    inside = sorted(host for host in cloud_hosts(reading) if _is_in(host, network))
    if inside:
        return f"holds {inside[0]}, a host of this cloud: an instance can get its address"
    return ""


def _collision_in_lab(lab: Lab, network: IPv4Network, *, is_floating: bool) -> str:
    for lab_network in lab.networks:
        # Floating addresses are meant to be on the network that carries them.
        is_meant = is_floating and lab_network.name == lab.stack.external_network
        if lab_network.cidr.overlaps(network) and not is_meant:
            return (
                f"overlaps the lab's network {lab_network.name}, {lab_network.cidr}: instances "
                f"and nodes can get the same address"
            )
    return ""


def _is_in(host: str, network: IPv4Network) -> bool:
    try:
        return IPv4Address(host) in network
    except AddressValueError:
        return False
