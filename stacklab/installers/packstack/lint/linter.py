"""Rules for Packstack's answer file: which keys are read at all; others are beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from stacklab.installers.packstack.keys import Key, KeyTable, key_table, old_names_of
from stacklab.installers.packstack.lint import bridges, form, hosts, ini, networks, values
from stacklab.installers.packstack.lint.era import fitting_releases
from stacklab.installers.packstack.lint.ini import AnswerEntry
from stacklab.installers.packstack.lint.read import PYTHON3, AnswerFile, name_first
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.lint.near import Near
from stacklab.lint.scope import Ground, Scope, Source

_RUN = "packstack@26.0.0:packstack/installer/run_setup.py"
_KEYS = (
    rule(
        "packstack-unknown-key", "a key that Packstack does not have", f"{_RUN}: _loadParamFromFile"
    ),
    rule(
        "packstack-gone-key",
        "a key of another release",
        "packstack: plugins at each release's tag",
        is_of_age=True,
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
RULES = (*form.RULES, *_KEYS, *values.RULES, *hosts.RULES, *bridges.RULES, *networks.RULES)
_BOOK = Book(RULES)

_SHOWN = 4  # deprecated names that a finding tells
_ALIKE = 0.8  # of what follows CONFIG_, which all have in common
_ML2 = "CONFIG_NEUTRON_ML2_"
_TENANT_TYPES = f"{_ML2}TENANT_NETWORK_TYPES"
# Keys of a group that may be switched off -> those that hold the same for what is taken instead.
_STAND_INS: Mapping[str, tuple[str, ...]] = {
    "CONFIG_NEUTRON_LB_TENANT_NETWORK_TYPE": (_TENANT_TYPES,),
    "CONFIG_NEUTRON_LB_VLAN_RANGES": (f"{_ML2}VLAN_RANGES",),
    "CONFIG_NEUTRON_OVS_TENANT_NETWORK_TYPE": (_TENANT_TYPES,),
    "CONFIG_NEUTRON_OVS_TUNNEL_RANGES": (f"{_ML2}TUNNEL_ID_RANGES", f"{_ML2}VNI_RANGES"),
    "CONFIG_NEUTRON_OVS_VLAN_RANGES": (f"{_ML2}VLAN_RANGES",),
    "CONFIG_PROVISION_TEMPEST_FLOATRANGE": ("CONFIG_PROVISION_DEMO_FLOATRANGE",),
}
# What a shell would take, and configparser makes a part of the key.
_SHELL_WORD = re.compile(r"^(EXPORT|SET)\s+")


class _UnreadEntry(NamedTuple):
    """An entry that somebody set, and why Packstack does not read it."""

    entry: AnswerEntry
    key: Key
    why: str


def lint(source: Source, scope: Scope) -> Iterator[Finding]:
    """Yield every finding in an answer file."""
    reading = _read_file(source, scope)
    yield from form.check(reading)
    if reading.answers.homeless or not reading.answers.general:
        return  # nothing is read, so nothing more can be said
    yield from form.check_duplicates(reading)
    yield from _check_unknown_keys(reading)
    yield from _check_deprecated_names(reading)
    yield from _check_unread_groups(reading)
    for module in (values, hosts, bridges, networks):
        yield from module.check(reading)


def _read_file(source: Source, scope: Scope) -> AnswerFile:
    """Return the file as its release reads it; without one, the keys tell the release."""
    keys = key_table()
    lines = tuple(line.rstrip("\r") for line in source.lines)  # harmless to both parsers
    release = _choose_release(keys, lines, scope)
    answers = ini.read_answers(lines, python2=keys.is_before(release, PYTHON3))
    return AnswerFile(file=source.name, answers=answers, table=keys, release=release, scope=scope)


def _choose_release(keys: KeyTable, lines: tuple[str, ...], scope: Scope) -> str:
    """Return the release that the scope knows, or that the file's keys tell."""
    if scope.era is not None:
        return keys.name(scope.era.release)
    if scope.release is not None:
        return keys.name(scope.release.name)
    # Which parser reads it depends on the release; names are the same to both, or nearly.
    names = {entry.key for entry in ini.read_answers(lines).entries}
    return fitting_releases(keys, names)[0]


def _check_unknown_keys(reading: AnswerFile) -> Iterator[Finding]:
    """Yield keys that this release does not have: of another release, or of none."""
    current = reading.keys
    old_names = old_names_of(current)
    era = reading.scope.era
    is_guessed = era is not None and era.ground is Ground.MARKS
    # Compared without what all keys begin with, which would make any two of them alike.
    nearest = Near((name.removeprefix("CONFIG_") for name in current), cutoff=_ALIKE)
    for entry in reading.answers.general:
        if entry.key in current or entry.key in old_names:
            continue
        key = reading.table.keys.get(entry.key)
        if key is not None and is_guessed and (not entry.value or key.is_default(entry.value)):
            continue  # generated by a release next to that one, and nothing is lost
        if key is not None:
            yield _BOOK.finding(
                "packstack-gone-key",
                reading.file,
                entry.line,
                effect=f"Packstack {reading.release} ignores {entry.key}: {_tell_lifetime(key)}",
                fix=_suggest_instead(entry, reading),
            )
            continue
        near = _find_meant_key(entry.key, current, nearest)
        yield _BOOK.finding(
            "packstack-unknown-key",
            reading.file,
            entry.line,
            effect=f"Packstack {reading.release} ignores {entry.key} without a word",
            fix=f"write {near}" if near else "remove the line",
        )


def _find_meant_key(name: str, current: Mapping[str, Key], nearest: Near) -> str:
    """Return the known key that an unknown one was probably meant to be; "" for none."""
    bare = _SHELL_WORD.sub("", name)
    if bare in current:
        return bare
    near = nearest(bare.removeprefix("CONFIG_"))
    # A few keys do not begin with CONFIG_, so the nearest one may stand for itself.
    for known in (f"CONFIG_{near}", near):
        if known in current:
            return known
    return ""


def _tell_lifetime(key: Key) -> str:
    """Return which releases have a key that this one lacks."""
    if key.until:
        return f"{key.until} was the last to have it"
    return f"{key.since} is the first to have it"


def _suggest_instead(entry: AnswerEntry, reading: AnswerFile) -> str:
    """Return what to write instead of another release's key."""
    # The release may have the same key by other names, which only its row tells.
    release = reading.scope.release
    renamed = release.mapping("renamed") if release is not None else {}
    instead = ", ".join(renamed.get(entry.key, "").split())
    if instead:
        return f"write {instead}"
    for key in reading.table.keys.values():
        if entry.key in key.was and not key.until:
            return f"write {key.name}"
    return "remove the line"


def _check_deprecated_names(reading: AnswerFile) -> Iterator[Finding]:
    """Yield keys that are given by deprecated names: one finding for all that still work."""
    renamed: dict[str, tuple[AnswerEntry, str]] = {}
    # By key, not by line: the names of one key have to be seen together.
    for key in reading.keys.values():
        old_entries = _entries_by_old_names(reading, key)
        if not old_entries:
            continue
        names = ", ".join(entry.key for entry in old_entries)
        values_differ = len({entry.value for entry in old_entries}) > 1
        if key.name in reading.given:
            line = reading.given[key.name].line
            yield _BOOK.finding(
                "packstack-old-and-new-key",
                reading.file,
                old_entries[0].line,
                effect=f"{names} is ignored, as {key.name} is in line {line}",
                fix="remove the deprecated one",
            )
        elif values_differ:
            yield _BOOK.finding(
                "packstack-alias-conflict",
                reading.file,
                old_entries[-1].line,
                effect=(
                    f"Packstack stops: {names} are all deprecated names of {key.name}, and differ"
                ),
                fix=f"write one {key.name}",
            )
        else:
            renamed[key.name] = (old_entries[0], names)
    if renamed:
        entries = sorted(renamed.items(), key=lambda item: item[1][0].line)
        shown = ", ".join(f"{names} for {name}" for name, (_entry, names) in entries[:_SHOWN])
        more = f" and {len(entries) - _SHOWN} more like these" if len(entries) > _SHOWN else ""
        yield _BOOK.finding(
            "packstack-deprecated-key",
            reading.file,
            entries[0][1][0].line,
            effect=f"Packstack takes {shown}{more}, and writes that into the file",
            fix=f"write {', '.join(name for name, _entry in entries[:_SHOWN])}",
        )


def _entries_by_old_names(reading: AnswerFile, key: Key) -> list[AnswerEntry]:
    """Return entries by a key's deprecated names, without empty ones."""
    entries = []
    for name in key.was:
        entry = reading.given.get(name)
        # An old name may have become the name of another key.
        if entry is not None and entry.value and name not in reading.keys:
            entries.append(entry)
    return entries


def _check_unread_groups(reading: AnswerFile) -> Iterator[Finding]:
    """Yield one finding per unread group, at its first key.

    Defaults are fine: a generated file holds those of every group. So is one value among
    defaults, where somebody switched the group off: he knows that it is not read.
    """
    groups: dict[str, list[_UnreadEntry]] = {}
    for entry in reading.answers.general:
        key = reading.keys.get(entry.key)
        if key is None or not _is_own_value(entry, key) or _is_copy(entry, reading):
            continue
        why = reading.why_unread(key.group)
        if why:
            unread = _UnreadEntry(entry=entry, key=key, why=why)
            groups.setdefault(key.group, []).append(unread)
    for group in groups.values():
        first = group[0]
        switch = _find_switch(reading, first)
        if switch and len(group) == 1 and _has_others(reading, first.key):
            continue
        names = name_first([unread.entry.key for unread in group])
        yield _BOOK.finding(
            "packstack-unread-key",
            reading.file,
            first.entry.line,
            effect=f"{names}: never read, as {first.why}",
            # A switch that somebody wrote is as he wants it, so that the values are too much.
            fix=_suggest_empty(group) if switch else _suggest_reading(reading, first),
        )


def _find_switch(reading: AnswerFile, unread: _UnreadEntry) -> str:
    """Return the y or n in the file itself because of which a group is not read; "" for none."""
    for condition in reading.table.groups[unread.key.group].when:
        key = reading.table.keys[condition.key]
        is_written = reading.given_value(condition.key) in ("y", "n")
        if condition.key in unread.why and key.kind == "yn" and is_written:
            return condition.key
    return ""


def _has_others(reading: AnswerFile, key: Key) -> bool:
    """Return True if the file has further keys of a key's group, as a generated one does."""
    others = (reading.keys.get(name) for name in reading.given if name != key.name)
    return any(other is not None and other.group == key.group for other in others)


def _is_copy(entry: AnswerEntry, reading: AnswerFile) -> bool:
    """Return True for a value that the file also gives to a key which stands in for this one."""
    return any(entry.value == reading.given_value(name) for name in _STAND_INS.get(entry.key, ()))


def _suggest_empty(group: list[_UnreadEntry]) -> str:
    """Return the advice to empty what is not read; a key that is left out may be asked for."""
    if len(group) > _SHOWN:
        return f"write {group[0].entry.key}=, and so on"
    return "write " + " and ".join(f"{unread.entry.key}=" for unread in group)


def _is_own_value(entry: AnswerEntry, key: Key) -> bool:
    """Return True if somebody chose the value.

    It is neither the default nor one that Packstack makes up.
    """
    if not entry.value or key.is_default(entry.value):
        return False
    # A generated file has a word of Packstack's for each of these.
    is_made_up = key.is_secret or key.kind in ("host", "hosts", "url")
    return not is_made_up and (bool(key.default) or not key.is_filled)


def _suggest_reading(reading: AnswerFile, unread: _UnreadEntry) -> str:
    """Return what to write so that a value is read: at the key that is taken instead, if any."""
    if reading.given_value("CONFIG_NEUTRON_L2_PLUGIN") == "ml2":
        for name in _STAND_INS.get(unread.entry.key, ()):
            if not name.startswith(_ML2):
                continue
            if "TUNNEL_ID" in name and "gre" not in reading.given_value(_TENANT_TYPES):
                continue  # for GRE; VXLAN has the other one
            return f"write {name}={unread.entry.value}"
    return _suggest_condition(reading.table, unread)


def _suggest_condition(keys: KeyTable, unread: _UnreadEntry) -> str:
    """Return what to write so that a group is read, if that is a matter of one word."""
    # A condition that wants any text at all has no words to propose.
    for condition in keys.groups[unread.key.group].when:
        if condition.key in unread.why:
            return (
                f"write {condition.key}={condition.words[0]}"
                if condition.words
                else "remove the line"
            )
    return "remove the line"
