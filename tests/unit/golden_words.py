"""The golden words: all verdicts and causes that the tests of a module make, as sentences.

Tests compare reasons. What is said in words is in tests/golden/words, one file per module, by
test and case. A sentence that is new, and one that is no longer made, fail the test that made it.
`pytest tests/unit --update-golden` (without -n) writes them anew; review the diff.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from stacklab.checks.result import Check, CheckResult, Verdict
from stacklab.model.cause import Cause
from stacklab.providers.evidence import View
from stacklab.providers.libvirt import evidence

_HERE = Path(__file__).parent
_GOLDEN = _HERE.parent / "golden" / "words"
# The folder whose tests make a module's words, or the one file.
PLACES = {
    "custom": _HERE / "checks" / "test_custom.py",
    "evidence": _HERE / "providers" / "libvirt" / "test_evidence.py",
    "explain": _HERE / "checks" / "explain",
    "impairments": _HERE / "checks" / "impairments",
    "nodes": _HERE / "checks" / "nodes",
    "pairs": _HERE / "checks" / "pairs",
    "reach": _HERE / "checks" / "reach",
}
_INVENTED = ("test_causes.py",)  # its causes are none that anything has found
Words = Mapping[str, frozenset[str]]  # by test and case: a line for each sentence

seen: dict[str, dict[str, set[str]]] = {}  # by module, of this run
collected: dict[str, set[str]] = {}  # by module: tests, of files of which all were collected


def module_of(item: pytest.Item) -> str | None:
    """Return the module whose words a test makes; None for one whose verdicts are random."""
    if hasattr(getattr(item, "obj", None), "hypothesis") or item.path.name in _INVENTED:
        return None
    for module, place in PLACES.items():
        if place in (item.path, item.path.parent):
            return module
    return None


def _file_of(module: str, name: str) -> Path:
    place = PLACES[module]
    return place if place.name == name else place / name


def test_of(item: pytest.Item) -> str:
    """Return the name of a test in a golden file."""
    return f"{item.path.name}::{item.name}"


def note_collected(items: Iterable[pytest.Item]) -> None:
    """Note the tests of whole files, before any of them is deselected."""
    for item in items:
        module = module_of(item)
        if module:
            collected.setdefault(module, set()).add(test_of(item))


def gone(module: str) -> set[str]:
    """Return the tests in a golden file that there are no longer."""
    there = collected.get(module, set())
    whole_files = {test.partition("::")[0] for test in there}
    left = set()
    for test in read(module):
        file = test.partition("::")[0]
        is_there = test in there if file in whole_files else _file_of(module, file).exists()
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
        patch.setattr(evidence, "cause", _recording_evidence(lines, evidence.cause))
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


def _recording_evidence(
    lines: set[str], plain: Callable[[View], Cause | None]
) -> Callable[[View], Cause | None]:
    def cause(view: View) -> Cause | None:
        found = plain(view)
        if found is not None:
            lines.add(f"cause {found.kind}: {found.text}")
        return found

    return cause


@functools.cache
def read(module: str) -> Words:
    """Read a golden file."""
    path = _GOLDEN / f"{module}.txt"
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
    for module, words in seen.items():
        left_out = gone(module)
        kept = {test: lines for test, lines in read(module).items() if test not in left_out}
        _write(module, {**kept, **words})


def _write(module: str, words: Mapping[str, Iterable[str]]) -> None:
    blocks = []
    for test in sorted(words):
        lines = [f"  {line}" for line in sorted(words[test])]
        if lines:
            blocks.append("\n".join([test, *lines]))
    (_GOLDEN / f"{module}.txt").write_text("\n\n".join(blocks) + "\n")
