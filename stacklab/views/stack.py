"""A lab's stack for people: the table of its stages, and how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from stacklab.foreign import printable
from stacklab.views.tables import moment, table

if TYPE_CHECKING:
    from stacklab.stages.attempt import StageResult
    from stacklab.stages.journal import History, StageState
    from stacklab.workflow.stack.sources import WantedSource
    from stacklab.workflow.stack.stack import PlannedStage

_STYLE = {"done": "green", "failed": "red", "running": "cyan", "interrupted": "yellow"}


def plan_table(planned: Sequence[PlannedStage]) -> Table:
    """Return a line per stage: what it is, how far it is, and what would be done."""
    rows = []
    for one in planned:
        stage = one.stage
        would = f"runs: {one.why}" if one.why else "-"
        if one.is_passed:
            would = "taken as done (before --from)"
        elif one.is_left:
            would = "not started (behind --to)"
        rows.append(
            (
                stage.name,
                ", ".join(stage.nodes),
                len(stage.steps),
                ", ".join(stage.after) or "-",
                f"{stage.limit_s / 60:g} min",
                _state_text(one.state),
                would,
            )
        )
    return table(("stage", "nodes", "steps", "after", "limit", "state", "lab.stack"), rows)


def sources_tables(wanted: Sequence[WantedSource]) -> list[Table | str]:
    """Return a line per source that the stages would fetch from; nothing if there is none."""
    if not wanted:
        return []
    nodes: dict[tuple[str, str], list[str]] = {}
    for one in wanted:
        nodes.setdefault((one.words, one.source.replaced_by), []).append(one.node)
    rows = [(words, ", ".join(names), by) for (words, by), names in nodes.items()]
    return ["", table(("source", "fetched by", "replaced by"), rows)]


def results_table(results: Sequence[StageResult]) -> Table:
    """Return a line per stage that was looked at, with its time."""
    rows = []
    for result in results:
        took = "done before" if result.was_done else f"{result.elapsed_s:.1f} s"
        rows.append((result.stage.name, Text(result.how, _STYLE.get(result.how, "")), took))
    return table(("stage", "", "took"), rows)


def outcome(lab: str, results: Sequence[StageResult]) -> list[Table | str]:
    """Return what `lab.stack` ends with: the stages, and what to type next."""
    next_steps = [
        (f"./invoke lab.check {lab}", "prove that nodes and cloud work"),
        (f"./invoke lab.ssh {lab}", "log in on the controller"),
    ]
    return [results_table(results), "", table(("next", ""), next_steps)]


def history_table(lab: str, history: History) -> Table | None:
    """Return a line per stage of a lab's last run; None if its installer never ran."""
    if not history.stages:
        return None
    done = sum(1 for name in history.stages if _is_done(history, name))
    rows = [_history_row(name, history.state(name)) for name in history.stages]
    title = f"stack of {lab}: {done} of {len(history.stages)} stages done"
    return table(("stage", "state", "when", "took", "what"), rows, title=title)


def _is_done(history: History, name: str) -> bool:
    state = history.state(name)
    return state is not None and state.is_done


def _history_row(name: str, state: StageState | None) -> tuple[object, ...]:
    if state is None:
        return (name, "not yet", "", "", "")
    when, took = state.began_at, ""
    if state.how is not None:  # it has ended
        when, took = state.ended_at, f"{state.elapsed_s:.1f} s"
    what = printable(_what_it_did(state).partition("\n")[0])
    return (name, _state_text(state), moment(when), took, what)


def _what_it_did(state: StageState) -> str:
    """Return why a stage ran; of one that is not done also its last step."""
    step = state.last_step
    if state.is_done or step is None:
        return state.why
    words = [step.node, step.title]
    if state.why:
        words.append(state.why)
    return ": ".join(words)


def _state_text(state: StageState | None) -> Text:
    if state is None:
        return Text("not yet")
    return Text(state.word, _STYLE.get(state.word, ""))
