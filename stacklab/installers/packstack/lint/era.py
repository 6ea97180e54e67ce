"""Which release of Packstack an answer file is for: its keys tell, as each release had others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from stacklab.installers.packstack.keys import Key, KeyTable, key_table, old_names_of
from stacklab.installers.packstack.lint import ini
from stacklab.lint.kind_era import assumed_era, era_as_said
from stacklab.lint.kinds import FileKind
from stacklab.lint.scope import Era, Ground, Source

_SHOWN = 3  # keys that a sentence names
_SEVERAL = 2  # keys that only another release has


class _Fit(NamedTuple):
    """The fit of a release to a file's keys; the better of two is the greater one."""

    read_keys: int  # by present or deprecated names
    present_keys: int
    rank: int  # the release's place among all, oldest first


def newest_first(_kind: FileKind) -> tuple[str, ...]:
    """Return every release of the table, the one to assume first."""
    return tuple(reversed(key_table().releases))


def find(kind: FileKind, source: Source) -> Era:
    """Return the era of an answer file, which never names its release."""
    keys = key_table()
    lines = tuple(line.rstrip("\r") for line in source.lines)  # harmless to both parsers
    entries = {entry.key: entry.line for entry in ini.read_answers(lines).entries}
    possible = fitting_releases(keys, entries)
    telling = [name for name in entries if _tells(keys, name, possible[0])]
    if not telling or len(possible) == len(keys.releases):
        return assumed_era(kind)
    telling.sort(key=lambda name: _count_releases(keys, name))
    shown = ", ".join(f"{name} (line {entries[name]})" for name in telling[:_SHOWN])
    knowing = [name for name in possible if _know_all(keys, telling[:_SHOWN], name)]
    of = f"{knowing[-1]} to {knowing[0]}" if len(knowing) > 1 else possible[0]
    era = era_as_said(kind, possible[0], Ground.MARKS, f"keys that {of} know: {shown}")
    return era.among(possible)


def fitting_releases(keys: KeyTable, names: Collection[str]) -> tuple[str, ...]:
    """Return the releases that a file is probably for, the likeliest first.

    It is the newest, unless another one knows two keys more. One key of another age is a slip,
    and is to be told; several are an old file.
    """
    fits = {
        release: _measure_fit(keys.keys_of(release), names, rank)
        for rank, release in enumerate(keys.releases)
    }
    newest = keys.releases[-1]
    best = max(fits.values())
    is_clear = best.read_keys - fits[newest].read_keys >= _SEVERAL
    chosen = keys.releases[best.rank] if is_clear else newest
    enough = fits[chosen].read_keys
    also = _newer_by_keys(keys, names, fits, chosen)
    others = [
        name for name in reversed(keys.releases) if fits[name].read_keys >= enough or name == also
    ]
    return (chosen, *(name for name in others if name != chosen))


def _newer_by_keys(
    keys: KeyTable, names: Collection[str], fits: Mapping[str, _Fit], chosen: str
) -> str:
    """Return the newer release that a file is for all the same, by several keys; "" if none is.

    Old keys are carried along from file to file; nobody writes keys before they are there.
    """
    newer = keys.releases[fits[chosen].rank + 1 :]
    unread = set(names) - keys.keys_of(chosen).keys() - old_names_of(keys.keys_of(chosen))
    counts = {name: len(unread & keys.keys_of(name).keys()) for name in newer}
    most = max(counts.values(), default=0)
    if most < _SEVERAL:
        return ""
    return max((name for name in newer if counts[name] == most), key=lambda name: fits[name][:2])


def _measure_fit(current: Mapping[str, Key], names: Collection[str], rank: int) -> _Fit:
    """Return how well a release's keys fit the names in a file."""
    given = set(names)
    present = given & current.keys()
    deprecated = given & old_names_of(current)
    return _Fit(read_keys=len(present | deprecated), present_keys=len(present), rank=rank)


def _count_releases(keys: KeyTable, name: str) -> int:
    return sum(keys.has(release, keys.keys[name]) for release in keys.releases)


def _know_all(keys: KeyTable, names: Collection[str], release: str) -> bool:
    current = keys.keys_of(release)
    return current.keys() | old_names_of(current) >= set(names)


def _tells(keys: KeyTable, name: str, release: str) -> bool:
    """Return True if a release has a key that not all releases have."""
    key = keys.keys.get(name)
    if key is None or not keys.has(release, key):
        return False
    return bool(key.since or key.until)
