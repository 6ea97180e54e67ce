"""What is said of stages that did not end well."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from stacklab.errors import Interrupted, LabError, StageFailed
from stacklab.foreign import INDENT
from stacklab.stages.attempt import StageResult
from stacklab.stages.journal import How
from stacklab.stages.step_log import lines_that_matter
from stacklab.words import plural


def raise_for(results: Sequence[StageResult], *, lab: str, log_of: Callable[[str], Path]) -> None:
    """Raise StageFailed if a stage failed, LabError if only a node was lost."""
    failed = [result for result in results if result.how is How.FAILED]
    lost = [result for result in results if result.how is How.INTERRUPTED]
    lines: list[str] = []
    for result in failed:
        lines += _failure_lines(result, log_of(result.stage.name))
    for result in lost:
        lines += _lost_lines(result)
    again = f"./invoke lab.stack {lab} (it goes on there)"
    if failed:
        raise StageFailed("\n".join(lines), hint=again)
    if lost:
        raise LabError("\n".join(lines), hint=f"./invoke lab.up {lab}, then {again}")


def interrupted(stages: Sequence[str], *, lab: str) -> Interrupted:
    """Return the error for Ctrl-C while these stages were running."""
    goes_on = ""
    if stages:
        verb = "goes" if len(stages) == 1 else "go"
        goes_on = f": {plural(len(stages), 'stage')} {verb} on on the nodes ({', '.join(stages)})"
    return Interrupted(
        f"interrupted{goes_on}",
        hint=f"./invoke lab.stack {lab} (attaches to what runs, and goes on)",
    )


def _failure_lines(result: StageResult, log: Path) -> Iterator[str]:
    stage = result.stage
    step = result.step
    start = 0
    if step is None:
        yield f"stage {stage.name} failed: {result.why}"
    else:
        start = step.log_at
        place = f"step {step.number} of {len(stage.steps)} on {step.node}: {step.title}"
        yield f"stage {stage.name} failed at {place}: {result.why}"
        for line in lines_that_matter(log, start):
            yield f"{INDENT}{line}"
    yield f"  log: {log}"
    if stage.hint:
        yield f"  usual cause: {stage.hint}"


def _lost_lines(result: StageResult) -> Iterator[str]:
    where = f" on {result.step.node}" if result.step else ""
    yield f"stage {result.stage.name} goes on{where} without us: {result.why}"
