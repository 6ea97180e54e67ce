"""Steps of a request that are known beforehand, found among the lines that services wrote."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stacklab import facts
from stacklab.workflow.trace.lines import LogLine

_TABLE = Path(__file__).with_name("steps.yaml")
DETAILED = "DEBUG"  # level of what only `trace.detail` makes services write


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceStep:
    """A step as steps.yaml has it."""

    title: str
    seed: str = ""
    client: str = ""
    services: tuple[str, ...] = ()
    line: re.Pattern[str] | None = None
    until: re.Pattern[str] | None = None
    needs_detail: bool = False
    silent: str = ""
    absent: str = ""  # what it means that there is no line, where the request went on

    def fits(self, line: LogLine) -> bool:
        """Return True if a line shows that the step began."""
        return (
            self.line is not None
            and line.service.startswith(self.services)
            and self.line.search(line.message) is not None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientEvent:
    """Something that the client did or saw, by this host's clock."""

    word: str
    at: float
    text: str
    took_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundStep:
    """A step, and what shows it; without that, `why_not` says why."""

    step: TraceStep
    at: float | None = None
    node: str = ""
    service: str = ""
    took_s: float | None = None  # None: nothing shows when it ended
    evidence: str = ""
    why_not: str = ""


@functools.cache
def steps_of(kind: str) -> tuple[TraceStep, ...]:
    """Return the steps of a kind of request: boot, volume."""
    rows: list[dict[str, Any]] = facts.read(_TABLE)[kind]
    return tuple(_step_of(row) for row in rows)


def _step_of(row: Mapping[str, Any]) -> TraceStep:
    patterns = {name: re.compile(row[name]) for name in ("line", "until") if name in row}
    return TraceStep(
        title=row["title"],
        seed=row.get("seed", ""),
        client=row.get("client", ""),
        services=tuple(row.get("services", ())),
        needs_detail=row.get("detail", False),
        silent=row.get("silent", ""),
        absent=row.get("absent", ""),
        **patterns,
    )


def find(
    steps: Sequence[TraceStep], lines: Sequence[LogLine], events: Sequence[ClientEvent]
) -> tuple[FoundStep, ...]:
    """Return every step, in the order of the table, with the first line that shows it."""
    detailed = {line.service for line in lines if line.level == DETAILED}
    by_word = {event.word: event for event in events}
    found = []
    for step in steps:
        if step.silent:
            found.append(FoundStep(step=step, why_not=step.silent))
        elif step.client:
            found.append(_of_client(step, by_word.get(step.client)))
        else:
            found.append(_of_service(step, lines, detailed))
    return tuple(
        dataclasses.replace(each, why_not=each.step.absent)
        if each.step.absent and each.at is None and _has_line(found[number:])
        else each
        for number, each in enumerate(found)
    )


def _has_line(found: Sequence[FoundStep]) -> bool:
    return any(each.at is not None and each.step.services for each in found)


def _of_client(step: TraceStep, event: ClientEvent | None) -> FoundStep:
    if event is None:
        return FoundStep(step=step, why_not="the client did not get that far")
    return FoundStep(
        step=step, at=event.at, service="client", took_s=event.took_s, evidence=event.text
    )


def _of_service(step: TraceStep, lines: Sequence[LogLine], detailed: set[str]) -> FoundStep:
    first = next((line for line in lines if step.fits(line)), None)
    if first is None:
        is_detailed = any(service.startswith(step.services) for service in detailed)
        why = "written at level DEBUG only" if step.needs_detail and not is_detailed else "no line"
        return FoundStep(step=step, service=step.services[0], why_not=why)
    return FoundStep(
        step=step,
        at=first.at,
        node=first.node,
        service=first.service,
        took_s=_took_s(step, first, lines),
        evidence=first.message,
    )


def _took_s(step: TraceStep, first: LogLine, lines: Sequence[LogLine]) -> float | None:
    if step.until is None:
        return None
    place = (first.node, first.service)
    for line in lines:
        is_later = line.at >= first.at and (line.node, line.service) == place
        if is_later and step.until.search(line.message):
            return line.at - first.at
    return None
