"""Tell which kind of answer file a file is: each kit claims its own, and the surest gets it."""

from __future__ import annotations

import os
from pathlib import Path, PurePath, PurePosixPath

from stacklab.errors import LabError
from stacklab.installers import all_kits
from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding
from stacklab.lint.kinds import Claim, FileKind, Linting, Sureness
from stacklab.lint.readers import read
from stacklab.lint.scope import Source
from stacklab.words import suggest

RULES = (
    rule("file-kind", "a file that installers do not read", "the names that installers look for"),
)
_BOOK = Book(RULES)
STDIN = "-"  # stands for what comes from stdin
LINTINGS: tuple[Linting, ...] = tuple(kit.linting() for kit in all_kits())
KINDS: tuple[FileKind, ...] = tuple(kind for linting in LINTINGS for kind in linting.kinds)


def detect(source: Source, path: PurePath) -> FileKind | None:
    """Return what a file is: the claim of the surest kit, of equals the first; None if unknown."""
    claim = _find_claim(source, path)
    return claim.kind if claim else None


def _find_claim(source: Source, path: PurePath) -> Claim | None:
    best: Claim | None = None
    if _find_no_answers(path):
        return None
    for linting in LINTINGS:
        claim = linting.claim(source, path)
        if claim is None:
            continue
        if best is None or claim.sureness > best.sureness:
            best = claim
    return best


def _find_no_answers(path: PurePath) -> str:
    """Return what an installer does with a file of that name that has no answers; "" if none."""
    for linting in LINTINGS:
        if path.name in linting.no_answers:
            return linting.no_answers[path.name]
    return ""


def find_answer_files(directory: Path) -> list[Path]:
    """Return the files below a directory that an installer reads, by their names or contents.

    Hidden directories are passed over, and links to directories: they may lead in circles.
    """
    found: list[Path] = []
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if _is_answer_file(path):
                found.append(path)
    return found


def _is_answer_file(path: Path) -> bool:
    """Return True for a file that has an answer file's name, or surely is one by its text."""
    if not path.is_file():
        return False
    if any(path.name in kind.names for kind in KINDS):
        return True
    source, _problems = read.read_source(path)
    claim = _find_claim(source, path) if source else None
    return claim is not None and claim.sureness >= Sureness.KEYS


def has_rules(path: PurePosixPath, text: str) -> bool:
    """Return True if some kit judges a rendered file of that name, or with that text."""
    if any(path.name in kind.names for kind in KINDS):
        return True
    return any(linting.has_rules(text) for linting in LINTINGS)


def kind_named(word: str) -> FileKind:
    """Return the kind of that word; raise LabError if there is none."""
    for kind in KINDS:
        if kind.word == word:
            return kind
    words = [kind.word for kind in KINDS]
    raise LabError(f"no kind of file {word!r}", hint=suggest(word, words, label="one of"))


def find_unknown(source: Source, path: PurePath) -> Finding:
    """Return the finding that no installer reads a file."""
    if _find_no_answers(path):
        return _BOOK.finding(
            "file-kind",
            source.name,
            line=0,
            effect=_find_no_answers(path),
            fix="give the path of the answer file itself",
        )
    titles = ", ".join(kind.title for kind in KINDS)
    names: set[str] = set()
    for kind in KINDS:
        names |= kind.names
    if path.name in names:
        readers = " or ".join(kind.consumer for kind in KINDS if path.name in kind.names)
        return _BOOK.finding(
            "file-kind",
            source.name,
            line=0,
            effect=f"hardly a name in it is one that {readers} reads: it is another program's",
            fix="give the path of the answer file itself, or say what it is: --kind",
        )
    return _BOOK.finding(
        "file-kind",
        source.name,
        line=0,
        effect=f"none of the installers reads the file, by its name and its text (known: {titles})",
        fix=f"give it the name that its installer looks for: {', '.join(sorted(names))}",
    )
