"""Rules for bridges of neutron: which networks and NICs they carry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from stacklab.installers.packstack.lint.hosts import addresses
from stacklab.installers.packstack.lint.ini import AnswerEntry
from stacklab.installers.packstack.lint.read import (
    AnswerFile,
)
from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding

_PLUGINS = "packstack@26.0.0:packstack/plugins"
_NEUTRON = f"{_PLUGINS}/neutron_350.py"
RULES = (
    rule(
        "packstack-bridges",
        "bridges, networks and interfaces that do not meet",
        f"{_NEUTRON}: find_pair_with",
    ),
)
_BOOK = Book(RULES)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bridges:
    """The keys of one agent's bridges, and the bridges that two of them name."""

    prefix: str
    maps: AnswerEntry | None  # network:bridge, ...
    ifaces: AnswerEntry | None  # bridge:NIC, ...
    computes: AnswerEntry | None  # bridges that computes have, too
    mapped: frozenset[str]
    with_nic: frozenset[str]


def check(reading: AnswerFile) -> Iterator[Finding]:
    """Yield bridges, networks and interfaces that do not meet."""
    agent = {"ovn": "OVN", "openvswitch": "OVS"}.get(reading.l2_agent)
    prefix = f"CONFIG_NEUTRON_{agent}_BRIDGE"
    if agent is None or f"{prefix}_MAPPINGS" not in reading.keys:
        return
    bridges = _bridges(reading, prefix)
    malformed = _malformed(reading, bridges)
    if malformed is not None:  # what follows would misread the pairs
        yield malformed
        return
    yield from _bridge_names(reading, bridges)
    yield from _on_computes(reading, bridges)


def _bridges(reading: AnswerFile, prefix: str) -> _Bridges:
    ifaces = reading.entry(f"{prefix}_IFACES")
    mappings = split_list(reading.value(f"{prefix}_MAPPINGS"))
    ports = split_list(ifaces.value if ifaces else "")
    return _Bridges(
        prefix=prefix,
        maps=reading.entry(f"{prefix}_MAPPINGS"),
        ifaces=ifaces,
        computes=reading.entry(f"{prefix}S_COMPUTE"),
        mapped=frozenset(side_of(pair, 1) for pair in mappings) - {""},
        with_nic=frozenset(side_of(pair, 0) for pair in ports) - {""},
    )


def _malformed(reading: AnswerFile, bridges: _Bridges) -> Finding | None:
    """Return the first list that holds something other than pairs; None if both are right."""
    # With CONFIG_USE_SUBNETS, Packstack takes a network's CIDR in place of a NIC's name.
    if reading.value("CONFIG_USE_SUBNETS") == "y":
        return None
    for entry, form, effect in (
        (bridges.maps, "extnet:br-ex", "Packstack stops with an IndexError"),
        (bridges.ifaces, "br-ex:eth1", "no bridge gets a port"),
    ):
        for pair in addresses(entry) if entry else ():
            if entry is not None and pair.count(":") != 1:
                return _BOOK.finding(
                    "packstack-bridges",
                    reading.file,
                    entry.line,
                    f"{effect}: {pair} does not have the form {form}",
                    f"{entry.key}={form}",
                )
    return None


def _on_computes(reading: AnswerFile, bridges: _Bridges) -> Iterator[Finding]:
    """Yield bridges that computes are to have, but that no network or NIC belongs to."""
    computes = bridges.computes
    if computes is None:
        return
    for bridge in addresses(computes):
        missing = []
        if bridge not in bridges.mapped:
            missing.append(f"{bridges.prefix}_MAPPINGS")
        if bridge not in bridges.with_nic:
            missing.append(f"{bridges.prefix}_IFACES")
        if missing:
            yield _BOOK.finding(
                "packstack-bridges",
                reading.file,
                computes.line,
                f"Packstack stops: {bridge} is missing in {' and in '.join(missing)}",
                f"add {bridge} to {' and '.join(missing)}, or remove it here",
            )


def _bridge_names(reading: AnswerFile, bridges: _Bridges) -> Iterator[Finding]:
    maps, ifaces = bridges.maps, bridges.ifaces
    if maps is not None and _is_turned(maps, bridges):
        turned = ",".join(":".join(reversed(pair.split(":"))) for pair in split_list(maps.value))
        yield _BOOK.finding(
            "packstack-bridges",
            reading.file,
            maps.line,
            f"a mapping is network:bridge, so this makes a bridge called "
            f"{sorted(bridges.mapped)[0]}",
            f"{maps.key}={turned}",
        )
        return
    # The router's own bridge needed no network once; releases that want one for it name it by
    # default.
    router_bridge = reading.value("CONFIG_NEUTRON_L3_EXT_BRIDGE")
    unmapped = sorted(bridges.with_nic - bridges.mapped - {router_bridge})
    if ifaces is not None and bridges.mapped and unmapped:
        yield _BOOK.finding(
            "packstack-bridges",
            reading.file,
            ifaces.line,
            f"{', '.join(unmapped)} does not carry traffic, because a network is not mapped to it",
            f"add one to {ifaces.key.replace('_IFACES', '_MAPPINGS')}, or write "
            f"{' or '.join(sorted(bridges.mapped))} here",
        )


def _is_turned(maps: AnswerEntry, bridges: _Bridges) -> bool:
    """Return True if every pair looks like bridge:network."""
    pairs = split_list(maps.value)
    begin_with_bridges = all(side_of(pair, 0).startswith("br-") for pair in pairs)
    end_with_bridges = any(name.startswith("br-") for name in bridges.mapped)
    return bool(pairs) and begin_with_bridges and not end_with_bridges


def split_list(value: str) -> list[str]:
    """Return the words between commas, without blanks around them."""
    return [pair.strip() for pair in value.split(",") if pair.strip()]


def side_of(pair: str, index: int) -> str:
    """Return one side of `left:right`; "" if there is none."""
    return [*pair.split(":"), ""][index].strip()
