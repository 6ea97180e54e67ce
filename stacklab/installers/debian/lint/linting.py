"""Configuration of OpenStack's services: what oslo.config reads otherwise than it is meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath

from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.lint.kinds import Claim, FileKind, Linting, Sureness
from stacklab.lint.scope import Scope, Source
from stacklab.model.stack import Installer

RULES = (
    rule(
        "oslo-line",
        "a line that is neither a section, an option, a comment nor a continuation",
        "oslo_config/iniparser.py: BaseParser.parse",
    ),
    rule(
        "oslo-no-section",
        "an option before the first section",
        "oslo_config/iniparser.py: ParseError",
    ),
    warning(
        "oslo-repeated",
        "an option that is set twice in a section",
        "oslo_config/cfg.py: _get_file_value takes the last of them",
    ),
    rule(
        "metadata-workers",
        "a metadata agent without workers",
        "neutron's OVN metadata agent with metadata_workers = 0: every guest is answered 504",
    ),
    warning(
        "vni-ranges",
        "many tunnel ids",
        "neutron/plugins/ml2/drivers/type_tunnel.py: a row in the database for each",
    ),
)
_BOOK = Book(RULES)
_SECTION = re.compile(r"\[([^\]]+)\]\s*")
_OPTION = re.compile(r"([^\s=:#;][^=:]*?)\s*[=:]\s*(.*)")
_MANY_TUNNELS = 10_000
_NAMES = frozenset(
    {
        "cinder.conf",
        "keystone.conf",
        "glance-api.conf",
        "placement.conf",
        "nova.conf",
        "neutron.conf",
        "ml2_conf.ini",
        "neutron_ovn_metadata_agent.ini",
    }
)


def _lint(source: Source, _scope: Scope) -> Iterator[Finding]:
    section = ""
    lines: dict[tuple[str, str], int] = {}
    for number, line in enumerate(source.lines, start=1):
        # oslo.config takes an indented line as the end of the value before it.
        if not line.strip() or line.startswith(("#", ";", " ", "\t")):
            continue
        header = _SECTION.fullmatch(line)
        if header:
            section = header[1]
            continue
        option = _OPTION.fullmatch(line)
        if option is None:
            yield _finding(
                source, number, "oslo-line", "the service ends at its start", "write key = value"
            )
            continue
        key, value = option.groups()
        if not section:
            yield _finding(
                source,
                number,
                "oslo-no-section",
                "the service ends at its start",
                "write [DEFAULT] above it",
            )
        first = lines.setdefault((section, key), number)
        if first != number:
            yield _finding(
                source, number, "oslo-repeated", f"line {first} has no effect", "remove one of them"
            )
        yield from _lint_option(source, number, key, value)


def _lint_option(source: Source, number: int, key: str, value: str) -> Iterator[Finding]:
    if key == "metadata_workers" and value == "0" and "agent" in source.name:
        yield _finding(
            source, number, "metadata-workers", "no VM gets its metadata", "metadata_workers = 1"
        )
    if key == "vni_ranges" and _count_ids(value) > _MANY_TUNNELS:
        yield _finding(
            source,
            number,
            "vni-ranges",
            "neutron's first start takes minutes under emulation",
            "vni_ranges = 1:1000",
        )


def _count_ids(ranges: str) -> int:
    count = 0
    for first, last in re.findall(r"(\d{1,9}):(\d{1,9})", ranges):
        count += max(0, int(last) - int(first) + 1)
    return count


def _finding(source: Source, line: int, rule_id: str, effect: str, fix: str) -> Finding:
    return _BOOK.finding(rule_id, source.name, line, effect, fix)


CONFIG = FileKind(
    title="configuration of an OpenStack service",
    installer=Installer.DEBIAN,
    names=_NAMES,
    lint=_lint,
    consumer="oslo.config",
    word="oslo",
)


def _claim(_source: Source, path: PurePath) -> Claim | None:
    """Claim a service's file in the folder that the kit fills, or in /etc of a node."""
    if path.name in _NAMES and "etc" in path.parts:
        return Claim(kind=CONFIG, sureness=Sureness.PLACE)
    return None


LINTING = Linting(kinds=(CONFIG,), rules=RULES, claim=_claim)
