"""Rules for the tenants' networks, and for ranges of addresses."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv4Network

from stacklab.installers.packstack.lint.bridges import _side, split_list
from stacklab.installers.packstack.lint.hosts import cloud_hosts
from stacklab.installers.packstack.lint.read import (
    NO_NOVA_NETWORK,
    OVN_DEFAULT,
    AnswerFile,
)
from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding
from stacklab.words import nearest

_PLUGINS = "packstack@26.0.0:packstack/plugins"
_NEUTRON = f"{_PLUGINS}/neutron_350.py"
RULES = (
    rule(
        "packstack-nova-network",
        "CONFIG_NEUTRON_INSTALL=n without nova-network",
        f"{_NEUTRON}: validate_neutron",
    ),
    rule("packstack-ovn-overrides", "what OVN sets by itself", f"{_NEUTRON}: initSequences"),
    rule(
        "packstack-mechanism",
        "ML2's mechanism drivers without the L2 agent's",
        f"{_NEUTRON}: initSequences",
    ),
    rule(
        "packstack-network-type",
        "a type of tenant networks that ML2 has no driver for",
        "openstack/neutron@29.0.0:neutron/plugins/ml2/managers.py: TypeManager",
    ),
    rule("packstack-interface", "an interface that no node has", "the lab"),
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
            f"Packstack sets it to geneve, as CONFIG_NEUTRON_L2_AGENT is ovn; {types.value} is lost",
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
    effect = f"nothing binds ports: CONFIG_NEUTRON_L2_AGENT is {agent}, which is no {others[0]}"
    if not reading.table.is_before(reading.release, OVN_DEFAULT):
        effect = (
            f"Packstack sets it to {agent}, as CONFIG_NEUTRON_L2_AGENT is; {entry.value} is lost"
        )
    kept = ",".join([agent, *(name for name in drivers if name not in _AGENTS)])
    yield _BOOK.finding(
        "packstack-mechanism",
        reading.file,
        entry.line,
        effect,
        f"{entry.key}={kept}, or CONFIG_NEUTRON_L2_AGENT={others[0]}",
    )


def _types(reading: AnswerFile) -> Iterator[Finding]:
    """Yield types of tenant networks without a type driver: neutron-server ends at them."""
    tenants, drivers = f"{_ML2}_TENANT_NETWORK_TYPES", f"{_ML2}_TYPE_DRIVERS"
    given = [reading.given[name] for name in (tenants, drivers) if name in reading.given]
    is_old = reading.table.is_before(
        reading.release, OVN_DEFAULT
    )  # with other defaults than the table's
    if (
        not given
        or (is_old and len(given) < 2)
        or any(not entry.value or entry.joined for entry in given)
    ):
        return
    key = reading.key(given[0])
    if (
        key is None or reading.unmet(key.group) or (reading.l2_agent == "ovn" and not is_old)
    ):  # Packstack sets OVN's
        return
    known = split_list(reading.value(drivers))
    usable = [name for name in known if name != "flat"]  # which only an admin's networks are
    if missing := [name for name in split_list(reading.value(tenants)) if name not in known]:
        yield _BOOK.finding(
            "packstack-network-type",
            reading.file,
            given[0].line,
            f"{drivers}, {','.join(known)}, has no {', '.join(missing)}, which {tenants} asks for"
            f"{'' if tenants in reading.given else ' by default'}: neutron-server ends at once",
            " or ".join(
                [
                    *(f"{tenants}={name}" for name in usable[:1]),
                    f"{drivers}={','.join([*known, *missing])}",
                ]
            ),
        )


def _devices(reading: AnswerFile) -> Iterator[Finding]:
    lab = reading.scope.lab
    if lab is None or reading.value("CONFIG_USE_SUBNETS") == "y":
        return
    known = {nic.device for node in lab.nodes for nic in node.nics} | {"lo"}
    for entry in reading.answers.general:
        key = reading.keys.get(entry.key)
        if key is None or reading.unmet(key.group):
            continue
        devices = split_list(entry.value) if entry.key in _DEVICES else []
        if entry.key.endswith("_BRIDGE_IFACES"):
            devices = [_side(pair, 1) for pair in split_list(entry.value)]
        for device in devices:
            if device and device not in known:
                near = nearest(device, known)
                yield _BOOK.finding(
                    "packstack-interface",
                    reading.file,
                    entry.line,
                    f"no node of lab {lab.name} has a NIC called {device}: what Packstack sets up "
                    f"on it fails",
                    f"write {near}" if near else f"write {' or '.join(sorted(known - {'lo'}))}",
                )


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
                "write a range that nobody uses",
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
    for other, taken in seen:
        if taken.overlaps(network):
            return f"overlaps {other}, {taken}: one address would be in two places"
    lab = reading.scope.lab
    for each in lab.networks if lab else ():
        is_meant = is_floating and lab is not None and each.name == lab.stack.external_network
        if each.cidr.overlaps(network) and not is_meant:
            return f"overlaps the lab's network {each.name}, {each.cidr}: instances and nodes would share addresses"
    if lab is None and not is_floating:
        inside = sorted(host for host in cloud_hosts(reading) if _is_in(host, network))
        if inside:
            return f"holds {inside[0]}, a host of this cloud: instances would get its address"
    return ""


def _is_in(host: str, network: IPv4Network) -> bool:
    try:
        return IPv4Address(host) in network
    except AddressValueError:
        return False
