"""A file whose release is not certain: what is an error in each of them, and the price of that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from stacklab.lint.certainty import soften_uncertain
from stacklab.lint.finding import Finding, Severity
from stacklab.lint.kinds import FileKind, LintedFile
from stacklab.lint.scope import Era, Ground, Scope, Source
from stacklab.model.stack import Installer

POSSIBLE = ("c", "b", "a")


def error(line: int) -> Finding:
    return Finding(
        file="f", line=line, rule="x", severity=Severity.ERROR, effect="it stops", fix=""
    )


class Rules:
    """Rules by which each release refuses certain lines; counts what each was asked for."""

    def __init__(self, refused: dict[str, range]) -> None:
        self._refused = refused
        self.counts: dict[str, int] = {}

    def __call__(self, _source: Source, scope: Scope) -> Iterator[Finding]:
        assert scope.era is not None
        release = scope.era.release
        for line in self._refused[release]:
            self.counts[release] = self.counts.get(release, 0) + 1
            yield error(line)


def linted(rules: Rules, *, lines: int, ground: Ground = Ground.ASSUMED) -> LintedFile:
    kind = FileKind(
        title="f",
        installer=Installer.DEVSTACK,
        names=frozenset(),
        lint=rules,
        consumer="It",
        word="f",
    )
    era = Era(title="It", release="c", ground=ground, why="", possible=POSSIBLE)
    source = Source(name="f", text="x\n" * lines)
    return LintedFile(source=source, kind=kind, scope=Scope(era=era), node="n")


@pytest.mark.parametrize(
    ("lines", "errors"),
    [(2000, [3]), (2001, [3, 4])],
    ids=["each release is asked", "only the oldest is"],
)
def test_an_error_holds_in_every_release(lines: int, errors: list[int]) -> None:
    rules = Rules({"c": range(1, 5), "b": range(1, 4), "a": range(3, 9)})
    findings = tuple(
        soften_uncertain(linted(rules, lines=lines), (error(line) for line in range(1, 5)))
    )
    assert [finding.line for finding in findings] == [1, 2, 3, 4]
    assert [each.line for each in findings if each.severity is Severity.ERROR] == errors


def test_a_file_is_not_read_again_behind_what_is_shown() -> None:
    rules = Rules(dict.fromkeys(POSSIBLE, range(1, 1000)))
    findings = tuple(soften_uncertain(linted(rules, lines=9), [error(1), error(2)]))
    assert findings == (error(1), error(2))
    assert rules.counts == {"b": 2, "a": 2}


@pytest.mark.parametrize(("ground", "told"), [(Ground.ASSUMED, [1, 2, 3]), (Ground.MARKS, [2])])
def test_what_age_alone_makes_wrong_holds_in_every_release_that_marks_leave(
    ground: Ground, told: list[int]
) -> None:
    rules = Rules({"c": range(1, 4), "b": range(2, 4), "a": range(1, 3)})
    findings = soften_uncertain(
        linted(rules, lines=9, ground=ground),
        (replace(error(line), severity=Severity.WARNING) for line in range(1, 4)),
        frozenset({"x"}),
    )
    assert [finding.line for finding in findings] == told
