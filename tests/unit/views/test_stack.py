"""The tables of a lab's stages."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table

from stacklab.stages.attempt import StageResult
from stacklab.stages.journal import NO_HISTORY, History, How, StageState, StepState
from stacklab.views import stack
from stacklab.workflow.stack.stack import PlannedStage
from tests.unit.stages.fake_nodes import stage, step

FAILED = StageState(
    name="control",
    digest="d",
    began_at=0.0,
    how=How.FAILED,
    ended_at=5.0,
    elapsed_s=4.5,
    why="exit code 3\nsecond line",
    steps={1: StepState(number=1, title="do c1", node="a", unit="u", log_at=0)},
)
DONE = StageState(name="prepare", digest="d", began_at=0.0, how=How.DONE, elapsed_s=1.0)
RUNNING = StageState(name="join", digest="d", began_at=0.0)


def lines(table: Table | str) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=200).print(table)
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


def test_the_plan_has_what_is_done_what_would_run_and_why() -> None:
    planned = (
        PlannedStage(stage=stage("first", step("0")), state=None, is_passed=True),
        PlannedStage(stage=stage("prepare", step("1"), step("2", "b")), state=DONE),
        PlannedStage(
            stage=stage("control", step("c"), after=("prepare",)), state=FAILED, why="failed before"
        ),
        PlannedStage(stage=stage("join", step("j")), state=RUNNING, is_left=True),
    )
    assert lines(stack.plan_table(planned)) == [
        "stage nodes steps after limit state lab.stack",
        "first a 1 - 10 min not yet taken as done (before --from)",
        "prepare a, b 2 - 10 min done -",
        "control a 1 prepare 10 min failed runs: failed before",
        "join a 1 - 10 min running not started (behind --to)",
    ]


def test_the_history_says_how_far_it_is_and_where_it_failed() -> None:
    history = History(
        stages=("prepare", "control", "join", "last"),
        states={"prepare": DONE, "control": FAILED, "join": RUNNING},
    )
    table = stack.history_table("trio", history)
    assert table is not None
    title, _header, *rows = lines(table)
    assert title == "stack of trio: 1 of 4 stages done"
    assert rows[0].startswith("prepare done ")
    assert rows[1].startswith("control failed ")
    assert rows[1].endswith("4.5 s a: do c1: exit code 3")
    assert rows[2].startswith("join running ")
    assert rows[3] == "last not yet"


def test_a_lab_whose_installer_never_ran_has_no_table() -> None:
    assert stack.history_table("trio", NO_HISTORY) is None


def test_the_end_has_a_line_per_stage_and_what_to_type() -> None:
    results = (
        StageResult(stage=stage("a"), how=How.DONE, was_done=True),
        StageResult(stage=stage("b"), how=How.DONE, elapsed_s=3.21),
    )
    table, _blank, following = stack.outcome("trio", results)
    assert lines(table) == ["stage took", "a done done before", "b done 3.2 s"]
    assert "./invoke lab.check trio" in lines(following)[1]
