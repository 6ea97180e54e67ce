"""No sentence decides anything.

With other words all groups, expectations and causes are the same.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from stacklab.checks.expect import Fault, FaultKind, Outage
from stacklab.checks.explain.causes import causes
from stacklab.checks.result import CheckResult, Reason
from stacklab.model.cause import Cause, CauseKind
from stacklab.tools import ssh
from stacklab.views.checks import failures
from stacklab.views.checks.heat import build_grids
from tests.unit.checks.fake_lab import make_lab
from tests.unit.views.fake_results import dead, down, expecting, many, of_each_kind, off, ran

REPORT = Path(__file__).parents[3] / "docs" / "check-report.md"
FAULT = Fault(kind=FaultKind.LINK_DOWN, node="compute1", device="eth1", network="net1")
RUNS = {
    "of each kind": ran(spoil=of_each_kind),
    "off": ran(many(12), off("compute2")),
    "dead": ran(many(12), dead("compute2")),
    "down": ran(spoil=down("compute1", "net1", "eth1")),
    "fault": ran(spoil=expecting(make_lab(), FAULT)),
}


def reworded(result: CheckResult) -> CheckResult:
    """The same result with each sentence replaced."""
    cause = result.cause
    if cause is not None:
        # Different causes need different words, as before.
        cause = Cause(cause.kind, str(hash(cause)))
    return dataclasses.replace(result, detail="x", clues="y" if result.clues else "", cause=cause)


def _groups(results: Sequence[CheckResult]) -> object:
    groups = [*failures.group_failures(results), *failures.group_warnings(results)]
    return [[result.check for result in group.results] for group in groups]


def _causes(results: Sequence[CheckResult]) -> object:
    return [
        (group.cause.kind, group.first.check, [result.check for result in group.results])
        for group in causes(results)
    ]


def _heat(results: Sequence[CheckResult]) -> object:
    return [grid.cells for grid in build_grids(make_lab(), results)]


def _expectations(results: Sequence[CheckResult]) -> object:
    outage = Outage(many(12), [FAULT])
    turned = [outage.as_expected(result) for result in results]
    return [(result.status, result.reason) for result in turned]


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("logic", [_groups, _causes, _heat, _expectations])
def test_other_words_change_nothing(
    run: str, logic: Callable[[Sequence[CheckResult]], object]
) -> None:
    results = RUNS[run].results
    assert logic([reworded(result) for result in results]) == logic(results)


def test_what_ssh_complains_of_is_a_reason() -> None:
    assert {Reason(trouble.value) for trouble in ssh.Trouble}


def _documented(heading: str) -> list[str]:
    section = REPORT.read_text().partition(f"\n### {heading}\n")[2].partition("\n#")[0]
    return re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)


def test_the_reasons_are_documented() -> None:
    assert sorted(_documented("Reasons")) == sorted(reason.value for reason in Reason)


def test_the_kinds_of_cause_are_documented() -> None:
    assert sorted(_documented("Kinds of cause")) == sorted(kind.value for kind in CauseKind)
