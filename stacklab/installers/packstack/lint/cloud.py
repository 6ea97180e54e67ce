"""Rules for the cloud that an answer file describes: its hosts, networks and passwords."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv4Network

from stacklab.installers.packstack.lint.ini import Entry
from stacklab.installers.packstack.lint.read import (
    HOSTS,
    NO_NOVA_NETWORK,
    OVN_DEFAULT,
    PLACEHOLDER,
    Reading,
)
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.words import nearest

_PLUGINS = "packstack@26.0.0:packstack/plugins"
_NEUTRON = f"{_PLUGINS}/neutron_350.py"
RULES = (
    warning(
        "packstack-local-default",
        "a host that is left out where there are several",
        f"{_PLUGINS}: DEFAULT_VALUE",
    ),
    rule(
        "packstack-one-host",
        "a list where one host is taken",
        "packstack@26.0.0: validate_ssh, validate_multi_ssh",
    ),
    rule(
        "packstack-loopback",
        "localhost where there are several hosts",
        "packstack@26.0.0: force_ip",
    ),
    rule("packstack-foreign-host", "a host that is no node of the lab", "the lab"),
    rule("packstack-controller", "a controller that is not the lab's", "the lab"),
    rule(
        "packstack-nova-network",
        "CONFIG_NEUTRON_INSTALL=n without nova-network",
        f"{_NEUTRON}: validate_neutron",
    ),
    rule(
        "packstack-storage-host",
        "CONFIG_STORAGE_HOST without CONFIG_UNSUPPORTED",
        f"{_PLUGINS}/prescript_000.py",
    ),
    rule(
        "packstack-bridges",
        "bridges, networks and interfaces that do not meet",
        f"{_NEUTRON}: find_pair_with",
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
    warning(
        "packstack-placeholder",
        "PW_PLACEHOLDER",
        "packstack@26.0.0:packstack/installer/processors.py",
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


def check(reading: Reading) -> Iterator[Finding]:
    """Every finding of this module's rules."""
    for each in (
        _hosts,
        _left_out,
        _lab_hosts,
        _networking,
        _storage,
        _bridges,
        _ovn,
        _mechanism,
        _types,
        _devices,
        _ranges,
        _passwords,
    ):
        yield from each(reading)


def _host_entries(reading: Reading) -> Iterator[Entry]:
    """Entries that name machines, in the file's order; of groups that are read."""
    for entry in reading.answers.general:
        key = reading.key(entry)
        if key and key.kind in ("host", "hosts", "ip") and key.name != "CONFIG_VCENTER_HOST":
            is_read = not reading.unmet(key.group) and entry is reading.entry(key.name)
            if entry.value and not entry.joined and is_read:
                yield entry


def _addresses(entry: Entry) -> list[str]:
    return [word.strip() for word in entry.value.split(",") if word.strip()]


def _cloud(reading: Reading) -> set[str]:
    """The machines of the cloud, as they are written."""
    return {host for entry in _host_entries(reading) for host in _addresses(entry)}


def _hosts(reading: Reading) -> Iterator[Finding]:
    is_many = len(_cloud(reading)) > 1
    for entry in _host_entries(reading):
        key = reading.keys.get(entry.key)
        hosts = _addresses(entry)
        if len(hosts) > 1 and key is not None and key.kind == "host":
            yield _BOOK.finding(
                "packstack-one-host",
                reading.file,
                entry.line,
                f"{entry.key} is one host; Packstack stops, as none is called {entry.value!r}",
                f"{entry.key}={hosts[0]}",
            )
        for host in hosts:
            if is_many and (host == "localhost" or host.startswith("127.")):
                yield _BOOK.finding(
                    "packstack-loopback",
                    reading.file,
                    entry.line,
                    f"{host} is every machine's own: each would look for {entry.key} on itself",
                    "write the machine's address on the network that they share",
                )


def _left_out(reading: Reading) -> Iterator[Finding]:
    if len(_cloud(reading)) < 2:
        return
    first = next(_host_entries(reading))
    controller = reading.value("CONFIG_CONTROLLER_HOST").strip()
    for name in HOSTS:
        key = reading.keys.get(name)
        if key is None or reading.entry(name) is not None or reading.unmet(key.group):
            continue
        yield _BOOK.finding(
            "packstack-local-default",
            reading.file,
            first.line,
            f"{name} is left out: it becomes the address by which the machine that runs Packstack reaches the outside",
            f"{name}={controller or 'ADDRESS'}",
        )


def _lab_hosts(reading: Reading) -> Iterator[Finding]:
    lab = reading.scope.lab
    if lab is None:
        return
    owners = {str(nic.address.ip): node.name for node in lab.nodes for nic in node.nics}
    known = {*owners, *(node.name for node in lab.nodes)}
    for entry in _host_entries(reading):
        foreign = [host for host in _addresses(entry) if host not in known]
        if foreign:
            yield _BOOK.finding(
                "packstack-foreign-host",
                reading.file,
                entry.line,
                f"{', '.join(foreign)} is no node of lab {lab.name}: Packstack stops, as port 22 there does not answer",
                f"write one of {', '.join(f'{ip} ({name})' for ip, name in owners.items())}",
            )
    controller = reading.entry("CONFIG_CONTROLLER_HOST")
    mine = [str(nic.address.ip) for nic in lab.controller.nics]
    if (
        controller is not None
        and controller.value in known
        and controller.value not in (*mine, lab.controller.name)
    ):
        wanted = lab.controller.nic_on(lab.stack.network)
        given = controller.value
        yield _BOOK.finding(
            "packstack-controller",
            reading.file,
            controller.line,
            f"{given} is {owners.get(given, given)}, and the lab looks for its services on {lab.controller.name}",
            f"{controller.key}={wanted.address.ip if wanted else mine[0]}",
        )


def _networking(reading: Reading) -> Iterator[Finding]:
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
        f"Packstack {reading.release} stops: nova-network is gone since Ocata, so neutron must be installed",
        "CONFIG_NEUTRON_INSTALL=y",
    )


def _storage(reading: Reading) -> Iterator[Finding]:
    entry = reading.given.get("CONFIG_STORAGE_HOST")
    if entry is None or not entry.value or not reading.unmet("UNSUPPORTED"):
        return
    controller = reading.entry("CONFIG_CONTROLLER_HOST")
    if controller is not None and controller.value != entry.value:
        yield _BOOK.finding(
            "packstack-storage-host",
            reading.file,
            entry.line,
            f"CONFIG_STORAGE_HOST is never read: cinder's volumes are put on the controller, {controller.value}",
            "CONFIG_UNSUPPORTED=y",
        )


def _bridges(reading: Reading) -> Iterator[Finding]:
    kind = {"ovn": "OVN", "openvswitch": "OVS"}.get(reading.l2_agent)
    prefix = f"CONFIG_NEUTRON_{kind}_BRIDGE"
    if kind is None or f"{prefix}_MAPPINGS" not in reading.keys:
        return
    maps, ifaces, computes = (
        reading.entry(f"{prefix}{end}") for end in ("_MAPPINGS", "_IFACES", "S_COMPUTE")
    )
    for pairs, form, effect in (
        (maps, "extnet:br-ex", "Packstack stops with an IndexError"),
        (ifaces, "br-ex:eth1", "no bridge gets a port"),
    ):
        wrong = (
            next((pair for pair in _addresses(pairs) if pair.count(":") != 1), "") if pairs else ""
        )
        if pairs is not None and wrong and reading.value("CONFIG_USE_SUBNETS") != "y":
            yield _BOOK.finding(
                "packstack-bridges",
                reading.file,
                pairs.line,
                f"{effect}: {wrong} is not of the form {form}",
                f"{pairs.key}={form}",
            )
            return
    known = {_side(pair, 1) for pair in _split(reading.value(f"{prefix}_MAPPINGS"))} - {""}
    with_nic = {_side(pair, 0) for pair in _split(ifaces.value if ifaces else "")} - {""}
    yield from _bridge_names(reading, maps, ifaces, known, with_nic)
    for bridge in _addresses(computes) if computes else ():
        places = (("_MAPPINGS", known), ("_IFACES", with_nic))
        missing = [f"{prefix}{end}" for end, held in places if bridge not in held]
        if computes is not None and missing:
            yield _BOOK.finding(
                "packstack-bridges",
                reading.file,
                computes.line,
                f"Packstack stops: {bridge} is not in {' nor in '.join(missing)}",
                f"add {bridge} to {' and '.join(missing)}, or remove it here",
            )


def _bridge_names(
    reading: Reading, maps: Entry | None, ifaces: Entry | None, known: set[str], with_nic: set[str]
) -> Iterator[Finding]:
    if maps is not None and all(
        _side(pair, 0).startswith("br-") for pair in _split(maps.value) if pair
    ):
        turned = ",".join(":".join(reversed(pair.split(":"))) for pair in _split(maps.value))
        if not any(name.startswith("br-") for name in known) and maps.value:
            yield _BOOK.finding(
                "packstack-bridges",
                reading.file,
                maps.line,
                f"a mapping is network:bridge; this makes a bridge called {sorted(known)[0]}",
                f"{maps.key}={turned}",
            )
            return
    # The router's own bridge needed no network once; releases that want one for it name it by default.
    lost = sorted(with_nic - known - {reading.value("CONFIG_NEUTRON_L3_EXT_BRIDGE")})
    if ifaces is not None and known and lost:
        yield _BOOK.finding(
            "packstack-bridges",
            reading.file,
            ifaces.line,
            f"no network is mapped to {', '.join(lost)}: nothing ever goes through it",
            f"add one to {ifaces.key.replace('_IFACES', '_MAPPINGS')}, or write {' or '.join(sorted(known))} here",
        )


def _split(value: str) -> list[str]:
    return [pair.strip() for pair in value.split(",") if pair.strip()]


def _side(pair: str, index: int) -> str:
    return [*pair.split(":"), ""][index].strip()


def _ovn(reading: Reading) -> Iterator[Finding]:
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


def _mechanism(reading: Reading) -> Iterator[Finding]:
    entry, agent = reading.given.get(f"{_ML2}_MECHANISM_DRIVERS"), reading.l2_agent
    key = reading.key(entry) if entry else None
    if entry is None or key is None or reading.unmet(key.group):
        return
    drivers = _split(entry.value)
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


def _types(reading: Reading) -> Iterator[Finding]:
    """Neutron's server ends at a type of tenant networks that it has no type driver for."""
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
    known = _split(reading.value(drivers))
    usable = [name for name in known if name != "flat"]  # which only an admin's networks are
    if missing := [name for name in _split(reading.value(tenants)) if name not in known]:
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


def _devices(reading: Reading) -> Iterator[Finding]:
    lab = reading.scope.lab
    if lab is None or reading.value("CONFIG_USE_SUBNETS") == "y":
        return
    known = {nic.device for node in lab.nodes for nic in node.nics} | {"lo"}
    for entry in reading.answers.general:
        key = reading.keys.get(entry.key)
        if key is None or reading.unmet(key.group):
            continue
        devices = _split(entry.value) if entry.key in _DEVICES else []
        if entry.key.endswith("_BRIDGE_IFACES"):
            devices = [_side(pair, 1) for pair in _split(entry.value)]
        for device in devices:
            if device and device not in known:
                near = nearest(device, known)
                yield _BOOK.finding(
                    "packstack-interface",
                    reading.file,
                    entry.line,
                    f"no node of lab {lab.name} has a NIC called {device}: what Packstack sets up on it fails",
                    f"write {near}" if near else f"write {' or '.join(sorted(known - {'lo'}))}",
                )


def _network(text: str) -> IPv4Network | None:
    try:
        return IPv4Network(text, strict=False)
    except ValueError:
        return None


def _ranges(reading: Reading) -> Iterator[Finding]:
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
    reading: Reading,
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
        inside = sorted(host for host in _cloud(reading) if _is_in(host, network))
        if inside:
            return f"holds {inside[0]}, a host of this cloud: instances would get its address"
    return ""


def _is_in(host: str, network: IPv4Network) -> bool:
    try:
        return IPv4Address(host) in network
    except AddressValueError:
        return False


def _passwords(reading: Reading) -> Iterator[Finding]:
    left = [
        entry
        for entry in reading.answers.general
        if entry.value == "PW_PLACEHOLDER"
        and (key := reading.keys.get(entry.key))
        and not reading.unmet(key.group)
    ]
    if not left or reading.value("CONFIG_DEFAULT_PASSWORD"):
        return
    names = left[0].key + (f" and {len(left) - 1} more" if len(left) > 1 else "")
    effect = (
        f"{names}: Packstack makes up a password of its own for each, and writes it into this file"
    )
    if reading.table.is_before(reading.release, PLACEHOLDER):
        effect = f"{names}: Packstack {reading.release} knows no placeholder, so that word becomes the password"
    fix = "CONFIG_DEFAULT_PASSWORD=..., which stands for every PW_PLACEHOLDER"
    if "CONFIG_DEFAULT_PASSWORD" not in reading.keys:
        fix = "write a password"
    yield _BOOK.finding("packstack-placeholder", reading.file, left[0].line, effect, fix)
