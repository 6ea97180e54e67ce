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
from stacklab.paths import PROJECT

TABLE = PROJECT / "localrc" / "packstack" / "keys.yaml"


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition for a group to be read.

    Its key `is` one of the words, `has` one in it, or is `filled` at all.
    """

    key: str
    how: str
    words: tuple[str, ...] = ()

    def holds(self, value: str) -> bool:
        """Return True if a value fulfils it."""
        if self.how == "has":
            return any(
                word in value for word in self.words
            )  # Packstack, too, looks for a substring
        return value in self.words if self.how == "is" else bool(value)


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
    since: str


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
        return not self.is_before(release, key.since) and not (
            key.until and self.is_before(key.until, release)
        )

    def keys_of(self, release: str) -> Mapping[str, Key]:
        """Return the keys of a release by name."""
        return {name: key for name, key in self.keys.items() if self.has(release, key)}


@functools.cache
def table(path: Path = TABLE) -> KeyTable:
    """Return the table, read once."""
    data = facts.read(path)
    keys: dict[str, Key] = {}
    groups: dict[str, KeyGroup] = {}
    for name, row in data["groups"].items():
        when = tuple(_condition(word) for word in str(row.get("when", "")).split())
        groups[name] = KeyGroup(name=name, when=when, since=str(row.get("since", "")))
        keys.update({key: _key(key, name, str(text)) for key, text in row["keys"].items()})
    return KeyTable(
        releases=tuple(data["releases"].split()),
        keys=MappingProxyType(keys),
        groups=MappingProxyType(groups),
    )


def _condition(word: str) -> Condition:
    for mark, how in (("=", "is"), ("~", "has")):
        if mark in word:
            key, words = word.split(mark, 1)
            return Condition(key, how, tuple(words.split("|")))
    return Condition(word.removesuffix("!"), "filled")


def _key(name: str, group: str, text: str) -> Key:
    kind, *facts = text.split(", ")
    kind, _, words = kind.partition(" ")
    options = {"same": "", "default": "", "since": "", "until": "", "was": ""}
    for fact in facts:
        word, _, value = fact.partition(" ")
        if word not in options:
            raise LabError(f"{TABLE}: {name}: {word!r} means nothing", hint=f"git diff {TABLE}")
        options[word] = value
    was = tuple(options.pop("was").split())
    return Key(
        name=name,
        group=group,
        kind=kind,
        words=tuple(words.split("|")) if words else (),
        was=was,
        **options,
    )
