"""Keys of answer files, by Packstack's release: localrc/packstack/keys.yaml, read once.

What is rendered and what is linted go by the same table.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from stacklab import facts
from stacklab.errors import LabError
from stacklab.paths.project import PROJECT

TABLE = PROJECT / "localrc" / "packstack" / "keys.yaml"


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition for a group to be read.

    Its key `is` one of the words, `has` one in it, or is `filled` at all.
    """

    key: str
    how: str  # is, has, filled
    words: tuple[str, ...] = ()

    def holds(self, value: str) -> bool:
        """Return True if a value fulfils it."""
        if self.how == "filled":
            return bool(value)
        if self.how == "is":
            return value in self.words
        # Packstack, too, looks for a substring: `lvm` holds in `lvm,nfs`.
        return any(word in value for word in self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key: what it takes, since when, until when."""

    name: str
    group: str
    # yn, bool, word, words, integer, float, port, ip, cidr, host, hosts, name, password, secret,
    # url, text
    kind: str
    words: tuple[str, ...] = ()
    same: str = ""  # the first release whose words these are
    default: str = ""
    since: str = ""
    until: str = ""
    was: tuple[str, ...] = ()  # deprecated names
    once: tuple[str, ...] = ()  # defaults of older releases; *: it was the machine's own

    def is_default(self, value: str) -> bool:
        """Return True for a value that a generated file of some release has."""
        return value == self.default or value in self.once or "*" in self.once

    @property
    def is_secret(self) -> bool:
        """Return True if its value must not be shown."""
        return self.kind in ("password", "secret")

    @property
    def is_filled(self) -> bool:
        """Return True if an empty value is refused."""
        return self.kind in ("password", "name", "bool")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyGroup:
    """Keys that are read together, when all of its conditions hold."""

    name: str
    when: tuple[Condition, ...]
    since: str  # the first release with these conditions; "" for all


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTable:
    """Every key and every group, and the order of the releases."""

    releases: tuple[str, ...]  # oldest first
    keys: Mapping[str, Key]
    groups: Mapping[str, KeyGroup]

    def name(self, release: str) -> str:
        """Return the release by the table's name; the newest for an unknown one."""
        return release if release in self.releases else self.releases[-1]

    def is_before(self, release: str, other: str) -> bool:
        """Return True if a release is older than another; no release ("") is the oldest."""
        return bool(other) and self.releases.index(release) < self.releases.index(other)

    def has(self, release: str, key: Key) -> bool:
        """Return True if the release has the key by exactly this name."""
        is_too_old = self.is_before(release, key.since)
        is_too_new = bool(key.until) and self.is_before(key.until, release)
        return not is_too_old and not is_too_new

    def keys_of(self, release: str) -> Mapping[str, Key]:
        """Return the keys of a release by name."""
        return {name: key for name, key in self.keys.items() if self.has(release, key)}


def old_names_of(keys: Mapping[str, Key]) -> set[str]:
    """Return the deprecated names of all keys."""
    old_names: set[str] = set()
    for key in keys.values():
        old_names.update(key.was)
    return old_names


@functools.cache
def key_table(path: Path = TABLE) -> KeyTable:
    """Return the table, read once."""
    data = facts.read(path)
    keys: dict[str, Key] = {}
    groups: dict[str, KeyGroup] = {}
    for group_name, row in data["groups"].items():
        conditions = str(row.get("when", "")).split()
        groups[group_name] = KeyGroup(
            name=group_name,
            when=tuple(_parse_condition(text) for text in conditions),
            since=str(row.get("since", "")),
        )
        for key_name, text in row["keys"].items():
            keys[key_name] = _parse_key(key_name, group_name, str(text))
    return KeyTable(
        releases=tuple(data["releases"].split()),
        keys=MappingProxyType(keys),
        groups=MappingProxyType(groups),
    )


def _parse_condition(text: str) -> Condition:
    """Read `KEY=word|word` (is), `KEY~word` (has) or `KEY!` (is filled)."""
    for mark, how in (("=", "is"), ("~", "has")):
        if mark in text:
            key, words = text.split(mark, 1)
            return Condition(key=key, how=how, words=tuple(words.split("|")))
    return Condition(key=text.removesuffix("!"), how="filled")


def _parse_key(name: str, group: str, text: str) -> Key:
    """Read `kind word|word, default TEXT, since RELEASE, ...`, as the table's head explains it."""
    kind_and_words, *traits = text.split(", ")
    kind, _, words = kind_and_words.partition(" ")
    fields = {"same": "", "default": "", "since": "", "until": "", "was": "", "once": ""}
    for trait in traits:
        field, _, value = trait.partition(" ")
        if field not in fields:
            raise LabError(f"{TABLE}: {name}: {field!r} means nothing", hint=f"git diff {TABLE}")
        fields[field] = value
    # The fields that are lists.
    old_names, old_defaults = fields.pop("was").split(), fields.pop("once").split()
    return Key(
        name=name,
        group=group,
        kind=kind,
        words=tuple(words.split("|")) if words else (),
        was=tuple(old_names),
        once=tuple(old_defaults),
        **fields,
    )
