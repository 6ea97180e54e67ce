from __future__ import annotations

import pytest

from stacklab.checks.outcome import Outcome
from stacklab.checks.result import Check, CheckKind, CheckResult, CheckStatus, Reason
from stacklab.errors import LabError
from stacklab.views.checks import run
from tests.unit.checks.fake_lab import make_lab

PASSED, FAILED = CheckStatus.PASSED, CheckStatus.FAILED


def rounds(*each: tuple[CheckStatus, CheckStatus]) -> list[Outcome]:
    """Two checks, every 10 s."""
    made = []
    for number, statuses in enumerate(each):
        results = tuple(
            CheckResult(
                check=Check(kind=CheckKind.HOSTNAME, node=node),
                status=status,
                reason=Reason.WRONG_NAME,
                detail="so",
            )
            for node, status in zip(("one", "two"), statuses, strict=True)
        )
        made.append(
            Outcome(lab=make_lab(), results=results, started_at=1000.0 + 10 * number, elapsed_s=0.0)
        )
    return made


def told(*each: tuple[CheckStatus, CheckStatus]) -> list[str]:
    return [line.partition(" ")[2] for line in run.change_lines(rounds(*each))]


def test_watch_shows_a_node_s_words_without_what_moves_a_cursor() -> None:
    hostile = "lost\x1b[1A\x1b[2K\x1b]52;c;x\x07\u202e\n12:00:00 2 of 2 checks passed"
    check = Check(kind=CheckKind.HOSTNAME, node="one")
    result = CheckResult(check=check, status=FAILED, detail=hostile, reason=Reason.WRONG_NAME)
    outcome = Outcome(lab=make_lab(), results=(result,), started_at=1000.0, elapsed_s=0.0)
    first, *_ = run.change_lines([outcome])
    head, *further = first.split("\n")
    assert head.endswith(": lost")
    assert further == ["    12:00:00 2 of 2 checks passed"]


def test_what_stays_as_it_is_is_told_once() -> None:
    assert told((PASSED, PASSED), (PASSED, PASSED)) == ["2 of 2 checks passed"]


def test_what_fails_at_first_is_told() -> None:
    assert told((PASSED, FAILED)) == ["failed: two: hostname: so", "1 of 2 checks passed"]


def test_what_changes_is_told_with_how_long_it_was_otherwise() -> None:
    assert told((PASSED, PASSED), (PASSED, FAILED), (PASSED, FAILED), (PASSED, PASSED)) == [
        "2 of 2 checks passed",
        "failed: two: hostname: so (was passed for 10 s)",
        "1 of 2 checks passed",
        "passed: two: hostname: so (was failed for 20 s)",
        "2 of 2 checks passed",
    ]


def test_watching_writes_no_reports_and_says_so() -> None:
    with pytest.raises(LabError, match="--watch never ends, so it can't write a report at its end"):
        run.print_changes([], run.Reports(junit="x.xml"))
