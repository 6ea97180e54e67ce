"""Rules for bridges of neutron: which networks and NICs they carry."""

from __future__ import annotations

from collections.abc import Iterator

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


def check(reading: AnswerFile) -> Iterator[Finding]:
    """Yield bridges, networks and interfaces that do not meet."""
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
            next((pair for pair in addresses(pairs) if pair.count(":") != 1), "") if pairs else ""
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
    known = {_side(pair, 1) for pair in split_list(reading.value(f"{prefix}_MAPPINGS"))} - {""}
    with_nic = {_side(pair, 0) for pair in split_list(ifaces.value if ifaces else "")} - {""}
    yield from _bridge_names(reading, maps, ifaces, known, with_nic)
    for bridge in addresses(computes) if computes else ():
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
    reading: AnswerFile,
    maps: AnswerEntry | None,
    ifaces: AnswerEntry | None,
    known: set[str],
    with_nic: set[str],
) -> Iterator[Finding]:
    if maps is not None and all(
        _side(pair, 0).startswith("br-") for pair in split_list(maps.value) if pair
    ):
        turned = ",".join(":".join(reversed(pair.split(":"))) for pair in split_list(maps.value))
        if not any(name.startswith("br-") for name in known) and maps.value:
            yield _BOOK.finding(
                "packstack-bridges",
                reading.file,
                maps.line,
                f"a mapping is network:bridge; this makes a bridge called {sorted(known)[0]}",
                f"{maps.key}={turned}",
            )
            return
    # The router's own bridge needed no network once; releases that want one for it name it by
    # default.
    lost = sorted(with_nic - known - {reading.value("CONFIG_NEUTRON_L3_EXT_BRIDGE")})
    if ifaces is not None and known and lost:
        yield _BOOK.finding(
            "packstack-bridges",
            reading.file,
            ifaces.line,
            f"no network is mapped to {', '.join(lost)}: nothing ever goes through it",
            f"add one to {ifaces.key.replace('_IFACES', '_MAPPINGS')}, or write "
            f"{' or '.join(sorted(known))} here",
        )


def split_list(value: str) -> list[str]:
    """Return the words between commas, without blanks around them."""
    return [pair.strip() for pair in value.split(",") if pair.strip()]


def _side(pair: str, index: int) -> str:
    return [*pair.split(":"), ""][index].strip()
