"""The golden words of the families: the sentences of all verdicts that a family's tests make.

Tests compare reasons. What a verdict says in words is in tests/golden/words, one file per
family, by test and case. `pytest tests/unit/checks --update-golden` (without -n) writes them anew;
review the diff.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stacklab.checks.result import Check, CheckResult, Verdict

_HERE = Path(__file__).parent
_GOLDEN = Path(__file__).parents[2] / "golden" / "words"
_FAMILIES = ("impairments", "nodes", "pairs", "reach")
_Words = dict[str, set[str]]  # by test and case: a line for each verdict
_seen: dict[str, _Words] = {}  # by family, of this run


def _family(item: pytest.Item) -> str | None:
    """Return the family that a test is of; None for one whose verdicts are random."""
    folder = item.path.parent.relative_to(_HERE).as_posix()
    is_random = hasattr(getattr(item, "obj", None), "hypothesis")
    return folder if folder in _FAMILIES and not is_random else None


def _recording(lines: set[str], plain: Callable[..., CheckResult]) -> Callable[..., CheckResult]:
    def of(verdict: Verdict, check: Check, **shown: object) -> CheckResult:
        lines.add(f"{check.kind} {verdict.status} {verdict.reason}: {verdict.detail}")
        return plain(verdict, check, **shown)

    return of


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    family = _family(item)
    if family is None:
        return (yield)
    lines: set[str] = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Verdict, "of", _recording(lines, Verdict.of))
        result = yield
    test = f"{item.path.name}::{item.name}"
    _seen.setdefault(family, {}).setdefault(test, set()).update(lines)
    if not item.config.getoption("--update-golden"):
        unexpected = lines - _read(family).get(test, set())
        assert not unexpected, (
            f"not in the golden words of {family} (--update-golden): {sorted(unexpected)}"
        )
    return result


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("--update-golden"):
        for family, words in _seen.items():
            _write(family, {**_read(family), **words})


def _read(family: str) -> _Words:
    path = _GOLDEN / f"{family}.txt"
    words: _Words = {}
    test = ""
    for line in path.read_text().splitlines() if path.exists() else ():
        if line.startswith("  "):
            words[test].add(line[2:])
        elif line:
            test = line
            words[test] = set()
    return words


def _write(family: str, words: _Words) -> None:
    blocks = []
    for test in sorted(words):
        if words[test]:
            blocks.append("\n".join([test, *(f"  {line}" for line in sorted(words[test]))]))
    (_GOLDEN / f"{family}.txt").write_text("\n\n".join(blocks) + "\n")
