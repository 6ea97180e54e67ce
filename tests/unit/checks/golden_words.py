"""The golden words of the families: all verdicts and causes that a family's tests make.

Tests compare reasons. What is said in words is in tests/golden/words, one file per family, by
test and case. A sentence that is new, and one that is no longer made, fail the test that made it.
`pytest tests/unit/checks --update-golden` (without -n) writes them anew; review the diff.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from stacklab.checks.result import Check, CheckResult, Verdict
from stacklab.model.cause import Cause

FAMILIES = ("custom", "explain", "impairments", "nodes", "pairs", "reach")
HERE = Path(__file__).parent
_GOLDEN = Path(__file__).parents[2] / "golden" / "words"
_INVENTED = ("test_causes.py",)  # its causes are none that anything has found
Words = Mapping[str, frozenset[str]]  # by test and case: a line for each sentence

seen: dict[str, dict[str, set[str]]] = {}  # by family, of this run
collected: dict[str, set[str]] = {}  # by family: tests, of files of which all were collected


def family_of(item: pytest.Item) -> str | None:
    """Return the family that a test is of; None for one whose verdicts are random."""
    if hasattr(getattr(item, "obj", None), "hypothesis") or item.path.name in _INVENTED:
        return None
    if item.path == file_of("custom", "test_custom.py"):
        return "custom"
    folder = item.path.parent.relative_to(HERE).as_posix()
    return folder if folder in FAMILIES else None


def file_of(family: str, name: str) -> Path:
    """Return where a family's tests are."""
    return HERE / name if family == "custom" else HERE / family / name


def test_of(item: pytest.Item) -> str:
    """Return the name of a test in a golden file."""
    return f"{item.path.name}::{item.name}"


def note_collected(items: Iterable[pytest.Item]) -> None:
    """Note the tests of whole files, before any of them is deselected."""
    for item in items:
        family = family_of(item)
        if family:
            collected.setdefault(family, set()).add(test_of(item))


def gone(family: str) -> set[str]:
    """Return the tests in a golden file that there are no longer."""
    there = collected.get(family, set())
    whole_files = {test.partition("::")[0] for test in there}
    left = set()
    for test in read(family):
        file = test.partition("::")[0]
        is_there = test in there if file in whole_files else file_of(family, file).exists()
        if not is_there:
            left.add(test)
    return left


@contextmanager
def recorded() -> Iterator[set[str]]:
    """Give a set that gets a line for each sentence made meanwhile."""
    lines: set[str] = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Verdict, "of", _recording_verdicts(lines, Verdict.of))
        patch.setattr(CheckResult, "explained", _recording_causes(lines, CheckResult.explained))
        yield lines


def _recording_verdicts(
    lines: set[str], plain: Callable[..., CheckResult]
) -> Callable[..., CheckResult]:
    def of(verdict: Verdict, check: Check, **shown: object) -> CheckResult:
        lines.add(f"{check.kind} {verdict.status} {verdict.reason}: {verdict.detail}")
        return plain(verdict, check, **shown)

    return of


def _recording_causes(
    lines: set[str], plain: Callable[..., CheckResult]
) -> Callable[..., CheckResult]:
    def explained(result: CheckResult, cause: Cause | None, clues: Iterable[str]) -> CheckResult:
        if cause is not None:
            lines.add(f"cause {cause.kind}: {cause.text}")
        return plain(result, cause, clues)

    return explained


@functools.cache
def read(family: str) -> Words:
    """Read a golden file."""
    path = _GOLDEN / f"{family}.txt"
    words: dict[str, set[str]] = {}
    test = ""
    for line in path.read_text().splitlines() if path.exists() else ():
        if line.startswith("  "):
            words[test].add(line[2:])
        elif line:
            test = line
            words[test] = set()
    return {test: frozenset(lines) for test, lines in words.items()}


def update() -> None:
    """Write what this run has seen; tests that were not run keep their words, if they are there."""
    for family, words in seen.items():
        left_out = gone(family)
        kept = {test: lines for test, lines in read(family).items() if test not in left_out}
        _write(family, {**kept, **words})


def _write(family: str, words: Mapping[str, Iterable[str]]) -> None:
    blocks = []
    for test in sorted(words):
        lines = [f"  {line}" for line in sorted(words[test])]
        if lines:
            blocks.append("\n".join([test, *lines]))
    (_GOLDEN / f"{family}.txt").write_text("\n\n".join(blocks) + "\n")
