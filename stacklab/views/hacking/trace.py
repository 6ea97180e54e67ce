"""Traces of requests, for people and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from stacklab.views.tables import table
from stacklab.words import plural

if TYPE_CHECKING:
    from stacklab.workflow.trace.lines import LogLine
    from stacklab.workflow.trace.steps import FoundStep
    from stacklab.workflow.trace.tracing import SeenState, Trace

_MOST_LINES = 200
_MESSAGE_MAX = 160
_QUIET = ("DEBUG", "TRACE")
_STYLES = {"ERROR": "red", "CRITICAL": "red", "WARNING": "yellow"}


def shown(trace: Trace, lab: str) -> list[Table | Text]:
    """Return a trace as tables, and what to type next."""
    parts: list[Table | Text] = [Text(f"{trace.title}\n", style="bold")]
    if trace.steps:
        parts.append(_steps_table(trace))
        parts += _states(trace)
    else:
        parts.append(_places_table(trace))
        parts += [Text(""), _lines_table(trace)]
    parts.append(Text("\n".join(["", *_notes(trace, lab)])))
    return parts


def _steps_table(trace: Trace) -> Table:
    rows = []
    for number, found in enumerate(trace.steps, 1):
        is_seen = found.at is not None
        title = Text(found.step.title, style="" if is_seen else "dim")
        rows.append(
            (
                str(number),
                found.step.seed,
                title,
                place(found),
                after(trace, found.at),
                "" if found.took_s is None else f"{found.took_s:.3f}",
                state_at(trace, found.at),
                Text(found.why_not, style="dim") if not is_seen else "",
            )
        )
    header = ("", "of 28", "step", "where", "at s", "took s", "state", "no line")
    return table(header, rows)


def place(found: FoundStep) -> str:
    """Return who showed a step, and on which node."""
    return f"{found.service} on {found.node}" if found.node else found.service


def after(trace: Trace, at: float | None) -> str:
    """Return how long after the trace's beginning something was."""
    return "" if at is None else f"+{at - trace.began:.3f}"


def state_at(trace: Trace, at: float | None) -> str:
    """Return the state of the VM that the client had seen last at that time; "" for none."""
    if at is None:
        return ""
    before = [state for state in trace.seen.states if state.at <= at]
    return state_words(before[-1]) if before else ""


def state_words(state: SeenState) -> str:
    """Return a state as `BUILD building/spawning`."""
    words = state.words
    if words.get("vm_state", "None") == "None":
        return words["status"]
    return f"{words['status']} {words['vm_state']}/{words['task_state']}"


def _states(trace: Trace) -> Iterator[Table | Text]:
    if trace.seen.states:
        seen = ", ".join(
            f"{after(trace, each.at)} {state_words(each)}" for each in trace.seen.states
        )
        yield Text(f"\nseen by the client, which looked now and then: {seen}")
    if trace.seen.actions:
        yield Text("")
        rows = [
            (each.name, each.host, each.start, each.finish, each.result)
            for each in trace.seen.actions
        ]
        yield table(("nova's own record", "host", "start", "finish", "result"), rows)


def _places_table(trace: Trace) -> Table:
    """Return where the request came by: each service, by its first line."""
    rows = []
    for where, lines in by_place(trace.lines):
        first, last = lines[0].at, lines[-1].at
        rows.append((where, after(trace, first), f"{last - first:.3f}", str(len(lines))))
    return table(("where", "at s", "until s later", "lines"), rows)


def by_place(lines: Iterable[LogLine]) -> list[tuple[str, list[LogLine]]]:
    """Return the lines of each service on each node, in the order of their first ones."""
    places: dict[str, list[LogLine]] = {}
    for line in lines:
        places.setdefault(f"{line.service} on {line.node}", []).append(line)
    return list(places.items())


def _lines_table(trace: Trace) -> Table:
    lines = [line for line in trace.lines if line.level not in _QUIET] or list(trace.lines)
    rows = [
        (
            after(trace, line.at),
            f"{line.service} on {line.node}",
            Text(line.level, style=_STYLES.get(line.level, "")),
            line.message[:_MESSAGE_MAX],
        )
        for line in lines[:_MOST_LINES]
    ]
    return table(("at s", "where", "level", "message"), rows)


def _notes(trace: Trace, lab: str) -> Iterator[str]:
    if trace.seen.failed:
        yield f"it failed: {trace.seen.failed}"
    for each in trace.comparisons:
        apart_ms = (each.by_lines_s - each.by_service_s) * 1000
        yield (
            f"{each.what} took {each.by_service_s:.2f} s by its own words, {each.by_lines_s:.2f} s "
            f"by the times of its lines ({apart_ms:+.0f} ms)"
        )
    yield clocks_text(trace)
    for node, why in trace.silent.items():
        yield f"no lines of {node}'s logs: {why}"
    if trace.left_out:
        yield f"{plural(trace.left_out, 'line')} beyond the limit were left out"
    seen = sum(found.at is not None for found in trace.steps)
    if trace.steps:
        yield f"{seen} of {len(trace.steps)} steps were seen, in {plural(len(trace.lines), 'line')}"
    if any("DEBUG" in found.why_not for found in trace.steps):
        yield f"  next: ./invoke trace.detail {lab} (restarts services), then the same again"


def clocks_text(trace: Trace) -> str:
    """Return how far the nodes' clocks were off, which the times above do not show any more."""
    words = []
    for clock in trace.clocks:
        if clock.error_s is None:
            words.append(f"{clock.node}'s could not be read")
        elif clock.ahead_s or clock.error_s:
            words.append(f"{clock.node} {clock.ahead_s:+.3f} s (±{clock.error_s:.3f})")
    if not words:
        return "clocks: all nodes have this host's"
    return f"clocks were put right by: {', '.join(words)}"


def as_json(trace: Trace) -> dict[str, object]:
    """Return a trace for programs; times are seconds since 1970, by this host's clock."""
    return {
        "title": trace.title,
        "began": trace.began,
        "ended": trace.ended,
        "ids": list(trace.seen.words),
        "failed": trace.seen.failed,
        "steps": [
            {
                "title": found.step.title,
                "seed": found.step.seed,
                "service": found.service,
                "node": found.node,
                "at": found.at,
                "took_s": found.took_s,
                "state": state_at(trace, found.at),
                "line": found.evidence,
                "no_line": found.why_not,
            }
            for found in trace.steps
        ],
        "states": [{"at": state.at, **state.words} for state in trace.seen.states],
        "actions": [dataclasses.asdict(action) for action in trace.seen.actions],
        "comparisons": [dataclasses.asdict(each) for each in trace.comparisons],
        "clocks": [dataclasses.asdict(clock) for clock in trace.clocks],
        "silent": dict(trace.silent),
        "left_out": trace.left_out,
        "lines": [dataclasses.asdict(line) for line in trace.lines],
    }
