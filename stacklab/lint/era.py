"""The era of a file: which release it is judged by, how that is known, and what it may be for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stacklab.lint.scope import Era, Ground

_SHOWN = 3  # marks that a sentence names
_SEVERAL = 2  # marks of another age: one alone is a slip, and is to be told
_MANY = 3  # names of another age that people write one by one, even if they went together


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A name in a file that only some releases know."""

    name: str
    line: int
    releases: frozenset[str]
    # What it is written for, if it is not written along with others: each counts as a name.
    origin: str = ""
    # True for what people carry along for years: it is not a mark, but one name among several.
    is_leftover: bool = False
    # True if nobody misses it in the releases that pass over it, so the file may be for them.
    is_harmless: bool = False

    def __str__(self) -> str:
        return f"{self.name} (line {self.line})" if self.line else self.name


def by_marks(title: str, known: Sequence[str], marks: Iterable[Mark]) -> Era:
    """Return the era that most marks agree with, or the newest release where few disagree.

    `known` has the release to assume first. Names that came and went together count once:
    who enables one of Heat's services enables them all. Where none is new, many old ones that
    are written one by one are not a slip, whether they went together or not.
    """
    marks = tuple(marks)
    fits = {release: _count(release, marks) for release in known}
    best, newest = max(fits.values()), fits[known[0]]
    since = _find_since(known, fits, marks)
    if since:
        return _of_marks(title, since, marks)
    if best - newest >= _SEVERAL or (best > newest and _are_many(known, fits, marks)):
        likely = tuple(release for release in known if fits[release] == best)
        possible = _where_others_fit(known, likely, marks)
        return _of_marks(title, likely, marks).among(possible)
    # All that the file would fit as well as, or better than, the newest one.
    possible = tuple(release for release in known if fits[release] >= newest)
    if newest == best and len(possible) < len(known):
        return _of_marks(title, possible, marks)
    return Era(
        title=title,
        release=known[0],
        ground=Ground.ASSUMED,
        why="assumed, because no line names a release",
        possible=possible,
    )


def _find_since(
    known: Sequence[str], fits: Mapping[str, int], marks: Sequence[Mark]
) -> tuple[str, ...]:
    """Return the releases that have all of several new names which the likeliest ones lack.

    Old names are carried along for years; nobody writes names before they are there. One alone
    may be a slip, or somebody's own.
    """
    best = max(fits.values())
    likeliest = {release for release in known if fits[release] == best}
    new = [mark for mark in marks if known[0] in mark.releases and not likeliest & mark.releases]
    if len({mark.name for mark in new}) < _SEVERAL or known[0] in likeliest:
        return ()
    return tuple(release for release in known if all(release in mark.releases for mark in new))


def _where_others_fit(
    known: Sequence[str], likely: Sequence[str], marks: Sequence[Mark]
) -> tuple[str, ...]:
    """Return the likely releases, and those in which only harmless names do nothing."""
    others = [mark for mark in marks if not mark.is_harmless]
    fits = {release: _count(release, others) for release in known}
    fewest = min(fits[release] for release in likely)
    return tuple(release for release in known if release in likely or fits[release] >= fewest)


def _are_many(known: Sequence[str], fits: Mapping[str, int], marks: Sequence[Mark]) -> bool:
    """Return True if many names are of older releases, and none is newer than the likeliest."""
    newest = known[0]
    best = max(fits.values())
    likeliest = {release for release in known if fits[release] == best}
    old = {mark.origin for mark in marks if mark.origin and newest not in mark.releases}
    is_newer = any(newest in mark.releases and not likeliest & mark.releases for mark in marks)
    return len(old) >= _MANY and not is_newer


def _of_marks(title: str, possible: tuple[str, ...], marks: Sequence[Mark]) -> Era:
    release = possible[0]
    telling = [mark for mark in marks if mark.releases.issuperset(possible)]
    telling = telling or [mark for mark in marks if release in mark.releases]
    by_width = sorted(telling, key=lambda mark: (mark.is_leftover, len(mark.releases)))
    narrowest = by_width[:_SHOWN]
    shown = ", ".join(map(str, sorted(narrowest, key=lambda mark: mark.line)))
    of = f"{possible[-1]} to {release}" if len(possible) > 1 else release
    return Era(
        title=title,
        release=release,
        ground=Ground.MARKS,
        why=f"names that {of} know: {shown}",
        possible=possible,
    )


def _count(release: str, marks: Sequence[Mark]) -> int:
    telling = {mark.releases for mark in marks if not mark.is_leftover}
    return sum(release in releases for releases in telling)
