"""Rules for Packstack's answer file: its form, and which keys are read at all."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from stacklab import releases
from stacklab.installers.packstack.keys import Key, KeyTable, table
from stacklab.installers.packstack.lint import bridges, hosts, ini, networks, values
from stacklab.installers.packstack.lint.ini import AnswerEntry
from stacklab.installers.packstack.lint.read import PYTHON3, AnswerFile
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.lint.near import Near
from stacklab.lint.scope import Scope, Source
from stacklab.model.stack import Installer

_RUN = "packstack@26.0.0:packstack/installer/run_setup.py"
_FORM = (
    rule(
        "packstack-no-general",
        "a missing [general], or something before it",
        f"{_RUN}: _handleAnswerFileParams",
    ),
    rule(
        "packstack-two-general",
        "[general] twice",
        "Python 3: configparser.RawConfigParser(strict=True)",
    ),
    rule(
        "packstack-other-section",
        "keys in a section that is not [general]",
        f"{_RUN}: _loadParamFromFile",
    ),
    rule(
        "packstack-no-assignment",
        "a line that is not key=value",
        "Python: configparser, ParsingError",
    ),
    rule(
        "packstack-continuation",
        "a line that begins with a blank",
        "Python: configparser, continuation lines",
    ),
    rule(
        "packstack-duplicate-key",
        "a key that is given twice",
        "Python 3: configparser, DuplicateOptionError",
    ),
    rule(
        "packstack-unknown-key", "a key that Packstack does not have", f"{_RUN}: _loadParamFromFile"
    ),
    rule(
        "packstack-gone-key", "a key of another release", "packstack: plugins at each release's tag"
    ),
    warning("packstack-deprecated-key", "a deprecated name", f"{_RUN}: DEPRECATES"),
    rule(
        "packstack-old-and-new-key",
        "a key by its new and by a deprecated name",
        f"{_RUN}: _loadParamFromFile",
    ),
    rule(
        "packstack-alias-conflict",
        "deprecated names of one key that disagree",
        f"{_RUN}: ValueError",
    ),
    warning(
        "packstack-unread-key", "a key whose group is not read", f"{_RUN}: _handleGroupCondition"
    ),
)
RULES = (*_FORM, *values.RULES, *hosts.RULES, *bridges.RULES, *networks.RULES)
_BOOK = Book(RULES)

_SEVERAL = 2  # keys that only another release has
_ALIKE = 0.8  # of what follows CONFIG_, which all have in common


def lint(source: Source, scope: Scope) -> Iterator[Finding]:
    """Yield every finding in an answer file."""
    reading = _reading(source, scope)
    yield from _form(reading)
    if reading.answers.homeless or not reading.answers.general:
        return  # nothing is read, so nothing more can be said
    yield from _twice(reading)
    yield from _unknown(reading)
    yield from _aliases(reading)
    yield from _unread(reading)
    yield from values.check(reading)
    for module in (hosts, bridges, networks):
        yield from module.check(reading)


def _reading(source: Source, scope: Scope) -> AnswerFile:
    """Return the file as its release reads it; without one, the keys tell the release."""
    keys = table()
    lines = tuple(line.rstrip("\r") for line in source.lines)  # harmless to both parsers
    if scope.release is not None:
        release = keys.name(scope.release.name)
    else:
        release = guess(keys, {entry.key for entry in ini.read(lines).entries})
    answers = ini.read(lines, python2=keys.is_before(release, PYTHON3))
    return AnswerFile(file=source.name, answers=answers, table=keys, release=release, scope=scope)


def guess(keys: KeyTable, names: Collection[str]) -> str:
    """Return the release that a file is probably for.

    It is the newest, unless another one knows two keys more.

    One key of another age is a slip, and is to be told; several are an old file.
    """
    rows = releases.of(Installer.PACKSTACK)
    known = [release for release in keys.releases if release in rows]
    given = set(names)

    def score(release: str) -> tuple[int, int, int]:
        current = keys.keys_of(release)
        every = current.keys() | {old for key in current.values() for old in key.was}
        return len(every & given), len(current.keys() & given), known.index(release)

    best, newest = max(known, key=score), known[-1]
    return newest if score(best)[0] - score(newest)[0] < _SEVERAL else best


def _form(reading: AnswerFile) -> Iterator[Finding]:
    answers, file = reading.answers, reading.file
    if answers.homeless:
        yield _BOOK.finding(
            "packstack-no-general",
            file,
            answers.homeless,
            "Packstack stops: `File contains no section headers`",
            "write [general] as the first line",
        )
    elif not any(header.name == ini.SECTION for header in answers.headers):
        near = next((h for h in answers.headers if h.name.strip().lower() == ini.SECTION), None)
        yield _BOOK.finding(
            "packstack-no-general",
            file,
            near.line if near else 0,
            "Packstack stops: `No section: 'general'`"
            + (f", as [{near.name}] is another one" if near else ""),
            "write [general] as the first line",
        )
    yield from _sections(reading)
    for line in answers.broken:
        yield _BOOK.finding(
            "packstack-no-assignment",
            file,
            line,
            "Packstack stops: `Source contains parsing errors`",
            "write KEY=value, or put # before it",
        )
    for entry in answers.entries:
        if entry.joined:
            yield _BOOK.finding(
                "packstack-continuation",
                file,
                entry.joined[0],
                f"a line that begins with a blank continues the value of {entry.key} (line "
                f"{entry.line}); "
                "what is set in it stays unset",
                "remove the blank",
            )


def _sections(reading: AnswerFile) -> Iterator[Finding]:
    answers, file = reading.answers, reading.file
    for header in answers.headers:
        if header.again and not reading.is_python2:
            yield _BOOK.finding(
                "packstack-two-general",
                file,
                header.line,
                f"Packstack stops: `section '{header.name}' already exists` (line {header.again})",
                "remove this line",
            )
    if not any(header.name == ini.SECTION for header in answers.headers):
        return
    for header in answers.headers:
        unread = [entry for entry in answers.entries if entry.section == header.name]
        if header.name not in (ini.SECTION, "DEFAULT") and unread and not header.again:
            yield _BOOK.finding(
                "packstack-other-section",
                file,
                header.line,
                f"Packstack does not read the {len(unread)} keys of [{header.name}], "
                "but those of [general] alone",
                f"remove the line [{header.name}]",
            )


def _twice(reading: AnswerFile) -> Iterator[Finding]:
    seen: dict[tuple[str, str], int] = {}
    for entry in reading.answers.entries:
        first = seen.setdefault((entry.section, entry.key), entry.line)
        if first == entry.line:
            continue
        effect = f"line {first} is ignored: the last one wins"
        if not reading.is_python2:
            effect = (
                f"Packstack stops: `option '{entry.key.lower()}' in section '{entry.section}' "
                f"already exists`"
            )
        yield _BOOK.finding(
            "packstack-duplicate-key",
            reading.file,
            entry.line,
            effect,
            f"remove line {first} or line {entry.line}",
        )


def _unknown(reading: AnswerFile) -> Iterator[Finding]:
    current = reading.keys
    old = {alias for key in current.values() for alias in key.was}
    nearest = Near((name.removeprefix("CONFIG_") for name in current), cutoff=_ALIKE)
    for entry in reading.answers.general:
        if entry.key in current or entry.key in old:
            continue
        key = reading.table.keys.get(entry.key)
        if key is not None:
            yield _BOOK.finding(
                "packstack-gone-key",
                reading.file,
                entry.line,
                f"Packstack {reading.release} ignores {entry.key}: {_life(key)}",
                _instead(entry, reading),
            )
            continue
        bare = re.sub(r"^(EXPORT|SET)\s+", "", entry.key)
        near = bare if bare in current else _known_like(bare, current, nearest)
        yield _BOOK.finding(
            "packstack-unknown-key",
            reading.file,
            entry.line,
            f"Packstack {reading.release} ignores {entry.key} without a word",
            f"write {near}" if near else "remove the line",
        )


def _known_like(name: str, current: Mapping[str, Key], nearest: Near) -> str:
    near = nearest(name.removeprefix("CONFIG_"))
    return next((known for known in (f"CONFIG_{near}", near) if known in current), "")


def _life(key: Key) -> str:
    if key.until:
        return f"{key.until} was the last to have it"
    return f"{key.since} is the first to have it"


def _instead(entry: AnswerEntry, reading: AnswerFile) -> str:
    release = reading.scope.release
    old = release.mapping("renamed").get(entry.key, "") if release else ""
    heirs = (
        key.name for key in reading.table.keys.values() if entry.key in key.was and not key.until
    )
    instead = ", ".join(old.split()) or next(heirs, "")
    return f"write {instead}" if instead else "remove the line"


def _aliases(reading: AnswerFile) -> Iterator[Finding]:
    given = reading.given
    for key in reading.keys.values():
        old = [
            given[name]
            for name in key.was
            if name in given and name not in reading.keys and given[name].value
        ]
        if not old:
            continue
        names = ", ".join(entry.key for entry in old)
        if key.name in given:
            yield _BOOK.finding(
                "packstack-old-and-new-key",
                reading.file,
                old[0].line,
                f"{names} is ignored, as {key.name} is in line {given[key.name].line}",
                "remove the deprecated one",
            )
        elif len({entry.value for entry in old}) > 1:
            yield _BOOK.finding(
                "packstack-alias-conflict",
                reading.file,
                old[-1].line,
                f"Packstack stops: {names} are all deprecated names of {key.name}, and differ",
                f"write one {key.name}",
            )
        else:
            yield _BOOK.finding(
                "packstack-deprecated-key",
                reading.file,
                old[0].line,
                f"Packstack takes {names} for {key.name}, and writes that into the file",
                f"write {key.name}",
            )


@dataclass(frozen=True, slots=True)
class _Unread:
    entry: AnswerEntry
    why: str


def _unread(reading: AnswerFile) -> Iterator[Finding]:
    """Yield one finding per unread group, at its first key.

    Defaults are fine: a generated file holds those of every group.
    """
    unread: dict[str, list[_Unread]] = {}
    for entry in reading.answers.general:
        key = reading.keys.get(entry.key)
        if key is None or not _is_own(entry, key):
            continue
        if why := reading.unmet(key.group):
            unread.setdefault(key.group, []).append(_Unread(entry, why))
    for group in unread.values():
        names = group[0].entry.key + (f" and {len(group) - 1} more" if len(group) > 1 else "")
        yield _BOOK.finding(
            "packstack-unread-key",
            reading.file,
            group[0].entry.line,
            f"{names}: never read, as {group[0].why}",
            _how_to_read(reading.table, reading.keys, group[0]),
        )


def _is_own(entry: AnswerEntry, key: Key) -> bool:
    """Return True if somebody chose the value.

    It is neither the default nor one that Packstack makes up.
    """
    is_made_up = (
        key.is_secret or (key.is_filled and not key.default) or key.kind in ("host", "hosts", "url")
    )
    return bool(entry.value) and not is_made_up and entry.value != key.default


def _how_to_read(keys: KeyTable, current: Mapping[str, Key], unread: _Unread) -> str:
    condition = next(
        (c for c in keys.groups[current[unread.entry.key].group].when if c.key in unread.why), None
    )
    return (
        f"write {condition.key}={condition.words[0]}"
        if condition and condition.words
        else "remove the line"
    )
