"""The era of a file of some kind: as somebody says it, by marks in the file, or assumed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from stacklab import releases
from stacklab.lint import era
from stacklab.lint.era import Mark
from stacklab.lint.kinds import FileKind
from stacklab.lint.scope import Era, Ground


def era_as_said(kind: FileKind, release: str, ground: Ground, why: str) -> Era:
    """Return the era of a release that somebody, or something, names."""
    return Era(
        title=kind.consumer,
        release=release,
        ground=ground,
        why=why,
        possible=(release,),
        row=releases.of(kind.installer).get(release),
        is_in_table=release in kind.releases(kind),
    )


def assumed_era(kind: FileKind) -> Era:
    """Return the era of a file in which nothing tells its release."""
    return by_marks(kind, ())


def by_marks(kind: FileKind, marks: Iterable[Mark]) -> Era:
    """Return the era of a file by the names in it that came or went."""
    guessed = era.by_marks(kind.consumer, kind.releases(kind), marks)
    return replace(guessed, row=releases.of(kind.installer).get(guessed.release))
