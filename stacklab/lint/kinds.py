"""Kinds of answer files: who reads them, which rules they have, and whose file one is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import PurePath
from typing import TYPE_CHECKING

from stacklab import releases
from stacklab.lint.finding import Finding, Rule
from stacklab.lint.scope import Era, Linter, Scope, Source
from stacklab.model.lab import Lab
from stacklab.model.release import Release
from stacklab.model.stack import Installer

if TYPE_CHECKING:  # whoever renders files imports the kinds, and waits for no rule
    from stacklab.lint.syntaxes import Syntax


class Sureness(IntEnum):
    """The sureness of a kit that a file is its own; the surest kit gets the file."""

    NAME = 0  # by its name alone: text that another installer knows goes before that
    GUESS = 1  # by names that other installers' files may have, too
    PLACE = 2  # it lies where this installer looks for it
    KEYS = 3  # its name, or a key in it, is this installer's alone
    HEADER = 4  # a header in it is this installer's alone, whatever keys follow
    FORM = 5  # no other installer reads anything of this form


def newest_release(installer: Installer) -> Release | None:
    """Return the first release in an installer's rows; None if it has no rows."""
    return next(iter(releases.of(installer).values()), None)


def rows_of(kind: FileKind) -> tuple[str, ...]:
    """Return the releases that the installer has rows of, the one to assume first."""
    return tuple(releases.of(kind.installer))


def no_era(_kind: FileKind, _source: Source) -> Era | None:
    """Return that of a file whose rules hold in every release: none."""
    return None


def release_of_lab(kind: FileKind, lab: Lab) -> Release | None:
    """Return the lab's release of the file's installer, or the newest."""
    known = releases.of(kind.installer)
    return known.get(lab.stack.release) or newest_release(kind.installer)


def _is_never_compared(_source: Source, _scope: Scope) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FileKind:
    """A kind of file that has rules; two kinds are never equal."""

    title: str  # as people know it: localrc of DevStack
    installer: Installer  # whose releases it has
    names: frozenset[str]  # what a lab's rendered files of this kind are called
    lint: Linter
    consumer: str  # the program that reads it
    word: str  # what --kind calls it
    syntax: Syntax | None = None  # of its values; None if nobody leaves placeholders in them
    # Releases that --release takes; the one to assume, if nothing tells any, is the first.
    releases: Callable[[FileKind], tuple[str, ...]] = rows_of
    # Which release a file is for that lies somewhere; None if its rules hold in all.
    era: Callable[[FileKind, Source], Era | None] = no_era
    # The release of these that is meant where the user names one of another installer.
    requested: Callable[[FileKind, Source, str], str] = lambda _kind, _source, named: named
    # Which release a file is for that was rendered for a lab.
    lab_release: Callable[[FileKind, Lab], Release | None] = release_of_lab
    # True if files of several nodes of one cloud are compared with each other.
    is_compared: Callable[[Source, Scope], bool] = _is_never_compared

    def __str__(self) -> str:
        return self.title


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A kit's word that a file is of one of its kinds."""

    kind: FileKind
    sureness: Sureness


@dataclass(frozen=True, slots=True, kw_only=True)
class LintedFile:
    """A file with all that is known about it; `node` is a node's name, or its directory."""

    source: Source
    kind: FileKind
    scope: Scope
    node: str
    placeholders: frozenset[int] = frozenset()  # lines that have one, and are told of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Files that were linted, each with the era that it was judged by, and what was found."""

    files: tuple[LintedFile, ...]
    findings: tuple[Finding, ...]


def _compare_nothing(_files: Sequence[LintedFile]) -> Iterator[Finding]:
    return iter(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Linting:
    """All that a kit knows about files that somebody wrote for its installer."""

    kinds: tuple[FileKind, ...]
    rules: tuple[Rule, ...]
    # Claims a file by what it says and by its path; None if it is not this installer's.
    claim: Callable[[Source, PurePath], Claim | None]
    # Compares files of one cloud's nodes: those of its own kinds, and of these of another kit.
    compare: Callable[[Sequence[LintedFile]], Iterator[Finding]] = _compare_nothing
    compared_beside: tuple[FileKind, ...] = ()
    # Directories below a node's own in which its files may lie.
    trees: tuple[str, ...] = ()
    # Names of files beside the answers that hold none -> what the installer does with them.
    no_answers: Mapping[str, str] = field(default_factory=dict)
    # True if a lab's rendered file has rules, though its name is in no kind's `names`.
    has_rules: Callable[[str], bool] = lambda _text: False
