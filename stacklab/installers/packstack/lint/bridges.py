"""Rules for bridges of neutron: which networks and NICs they carry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from stacklab.installers.packstack.lint.ini import AnswerEntry
from stacklab.installers.packstack.lint.read import AnswerFile, split_list
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
# Agents with bridges, as the names of their keys have them.
_KEY_WORDS = {"ovn": "OVN", "openvswitch": "OVS"}


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
    key_word = _KEY_WORDS.get(reading.l2_agent)
    prefix = f"CONFIG_NEUTRON_{key_word}_BRIDGE"
    if key_word is None or f"{prefix}_MAPPINGS" not in reading.keys:
        return
    bridges = _read_bridges(reading, prefix)
    malformed = _find_malformed(reading, bridges)
    if malformed is not None:  # what follows would misread the pairs
        yield malformed
        return
    yield from _check_bridge_names(reading, bridges)
    yield from _check_computes(reading, bridges)


def _read_bridges(reading: AnswerFile, prefix: str) -> _Bridges:
    """Return the keys of one agent's bridges, with what their pairs name."""
    # What is left out counts with its default: extnet:br-ex is mapped then.
    mappings = split_list(reading.value_of_key(f"{prefix}_MAPPINGS"))
    ports = split_list(reading.value_of_key(f"{prefix}_IFACES"))
    return _Bridges(
        prefix=prefix,
        maps=reading.deciding_entry(f"{prefix}_MAPPINGS"),
        ifaces=reading.deciding_entry(f"{prefix}_IFACES"),
        computes=reading.deciding_entry(f"{prefix}S_COMPUTE"),
        mapped=_sides_of(mappings, 1),
        with_nic=_sides_of(ports, 0),
    )


def _find_malformed(reading: AnswerFile, bridges: _Bridges) -> Finding | None:
    """Return the first list that holds something other than pairs; None if both are right."""
    # With CONFIG_USE_SUBNETS, Packstack takes a network's CIDR in place of a NIC's name.
    if reading.value_of_key("CONFIG_USE_SUBNETS") == "y":
        return None
    for entry, form, effect in (
        (bridges.maps, "extnet:br-ex", "Packstack stops with an IndexError"),
        (bridges.ifaces, "br-ex:eth1", "no bridge gets a port"),
    ):
        if entry is None:
            continue
        for pair in split_list(entry.value):
            if pair.count(":") != 1:
                return _BOOK.finding(
                    "packstack-bridges",
                    reading.file,
                    entry.line,
                    effect=f"{effect}: {pair} does not have the form {form}",
                    fix=f"{entry.key}={form}",
                )
    return None


def _check_computes(reading: AnswerFile, bridges: _Bridges) -> Iterator[Finding]:
    """Yield bridges that computes are to have, but that no network or NIC belongs to."""
    computes = bridges.computes
    if computes is None:
        return
    for bridge in split_list(computes.value):
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
                effect=f"Packstack stops: {bridge} is missing in {' and in '.join(missing)}",
                fix=f"add {bridge} to {' and '.join(missing)}, or remove it here",
            )


def _check_bridge_names(reading: AnswerFile, bridges: _Bridges) -> Iterator[Finding]:
    """Yield mappings that are turned round, or else bridges that no network is mapped to."""
    maps, ifaces = bridges.maps, bridges.ifaces
    if maps is not None and _is_turned(maps, bridges):
        yield _write_turned(reading, maps, made=sorted(bridges.mapped)[0])
        return
    # The router's own bridge needed no network once; releases that want one for it name it by
    # default.
    router_bridge = reading.value_of_key("CONFIG_NEUTRON_L3_EXT_BRIDGE")
    unmapped = sorted(bridges.with_nic - bridges.mapped - {router_bridge})
    if ifaces is not None and bridges.mapped and unmapped:
        mappings = ifaces.key.replace("_IFACES", "_MAPPINGS")
        yield _BOOK.finding(
            "packstack-bridges",
            reading.file,
            ifaces.line,
            effect=(
                f"{', '.join(unmapped)} does not carry traffic, because a network is not mapped "
                "to it"
            ),
            fix=f"add one to {mappings}, or write {' or '.join(sorted(bridges.mapped))} here",
        )


def _is_turned(maps: AnswerEntry, bridges: _Bridges) -> bool:
    """Return True if every pair looks like bridge:network."""
    pairs = split_list(maps.value)
    # A bridge may have any name, but nearly all begin as Packstack's own br-ex does.
    begin_with_bridges = all(side_of(pair, 0).startswith("br-") for pair in pairs)
    end_with_bridges = any(name.startswith("br-") for name in bridges.mapped)
    return bool(pairs) and begin_with_bridges and not end_with_bridges


def _write_turned(reading: AnswerFile, maps: AnswerEntry, *, made: str) -> Finding:
    """Return the finding for bridge:network; `made` is a bridge that Packstack makes of it."""
    turned = []
    for pair in split_list(maps.value):
        bridge_and_network = pair.split(":")
        turned.append(":".join(reversed(bridge_and_network)))
    return _BOOK.finding(
        "packstack-bridges",
        reading.file,
        maps.line,
        effect=f"a mapping is network:bridge, so this makes a bridge called {made}",
        fix=f"{maps.key}={','.join(turned)}",
    )


def side_of(pair: str, index: int) -> str:
    """Return one side of `left:right`; "" if there is none."""
    return [*pair.split(":"), ""][index].strip()


def _sides_of(pairs: Iterable[str], index: int) -> frozenset[str]:
    """Return one side of each pair, without empty ones."""
    return frozenset(side_of(pair, index) for pair in pairs) - {""}
