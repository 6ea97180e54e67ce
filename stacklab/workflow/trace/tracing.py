"""What a trace is, and how one is made of a request's ids and the time in which it ran."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stacklab.errors import LabError
from stacklab.model.lab import Lab
from stacklab.paths import LabPaths
from stacklab.workflow.context import Context
from stacklab.workflow.debug.service import prefix_of_units
from stacklab.workflow.trace import steps
from stacklab.workflow.trace.collecting import Clock, Collector
from stacklab.workflow.trace.lines import UUID, LogLine
from stacklab.workflow.trace.steps import ClientEvent, FoundStep

_AROUND_S = 1.0  # before the first line of a request, and behind its last one
_MOST_THINGS = 20
# What becomes known of a request by its own lines, and is then looked for.
_PORT = re.compile(rf"(?:Successfully created port: |network-vif-plugged[-:])({UUID.pattern})")
_NEUTRON = ("neutron", "q-")
# Where nova-compute starts its watches: the first line behind that.
_BEGINS = {
    "build": 'Acquiring lock "compute_resources" by "nova.compute.resource_tracker.Resource',
    "spawn": "Start spawning the instance",
}
_TOOK = re.compile(r"Took ([\d.]+) seconds to (build|spawn)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenState:
    """What the client saw of a VM or a volume when it looked."""

    at: float
    words: Mapping[str, str]  # status, vm_state, task_state


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The length of something by the times of its lines, and in a service's own words."""

    what: str
    by_lines_s: float
    by_service_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A step in the records of nova's own; its times are whole seconds."""

    name: str
    host: str
    start: str
    finish: str
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that a client knows of its request once that is over."""

    words: tuple[str, ...]  # ids of the request, and of what it made
    events: tuple[ClientEvent, ...] = ()
    states: tuple[SeenState, ...] = ()
    actions: tuple[Action, ...] = ()
    failed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A request's way; all times are seconds since 1970, by this host's clock."""

    title: str
    began: float
    ended: float
    seen: Seen
    steps: tuple[FoundStep, ...]  # (): of a request whose steps nobody knows beforehand
    lines: tuple[LogLine, ...]
    clocks: tuple[Clock, ...]
    silent: Mapping[str, str]  # node -> why it told nothing
    left_out: int  # lines beyond the limit
    comparisons: tuple[Comparison, ...]


class Tracing:
    """Makes traces of one lab's cloud."""

    def __init__(self, context: Context, lab: Lab, paths: LabPaths) -> None:
        self._lab = lab
        self._collector = Collector(context, lab, paths, prefix_of_units(lab, "a trace"))

    def prepare(self) -> None:
        """Do what should be over before a request is made."""
        self._collector.compare_clocks()

    def trace(self, title: str, kind: str, seen: Seen, began: float, ended: float) -> Trace:
        """Return the trace of a request that ran between two times.

        `kind` chooses the steps that are looked for; "": none. Raises LabError if no node answers,
        or none has a line.
        """
        collected = self._collector.collect(seen.words, began, ended)
        found = collected.lines
        silent, left_out = dict(collected.silent), collected.left_out
        known = set(seen.words)
        # Services that work for the request under ids of their own: by what they work on first.
        for look_for in (_things_of, _requests_of_ports):
            words = sorted(look_for(found) - known)[:_MOST_THINGS]
            if found and words:
                known.update(words)
                since, until = found[0].at - _AROUND_S, found[-1].at + _AROUND_S
                more = self._collector.collect(words, since, until)
                found = tuple(sorted({*found, *more.lines}, key=lambda line: line.at))
                silent.update(more.silent)
                left_out += more.left_out
        if not found and not seen.events:
            raise LabError(
                f"no service of {self._lab.name} has logged anything of {' '.join(seen.words)}",
                hint="is the id whole, and is it long ago? --since MINUTES",
            )
        return Trace(
            title=title,
            began=began,
            ended=ended,
            seen=seen,
            steps=steps.find(steps.steps_of(kind), found, seen.events) if kind else (),
            lines=found,
            clocks=collected.clocks,
            silent=silent,
            left_out=left_out,
            comparisons=tuple(_compare(found)),
        )


def _things_of(lines: Sequence[LogLine]) -> set[str]:
    """Return the ids of VMs and ports that lines name."""
    things = {line.instance for line in lines if line.instance}
    for line in lines:
        things.update(_PORT.findall(line.message))
    return things


def _requests_of_ports(lines: Sequence[LogLine]) -> set[str]:
    """Return the ids of neutron's requests for a port: nova-compute makes it without its own id."""
    ports = {port for line in lines for port in _PORT.findall(line.message)}
    return {
        line.own_id
        for line in lines
        if line.service.startswith(_NEUTRON) and line.own_id and _names_one(line.message, ports)
    }


def _names_one(text: str, words: set[str]) -> bool:
    return any(word in text for word in words)


def _compare(lines: Sequence[LogLine]) -> list[Comparison]:
    """Compare what nova-compute says of its own work with the times of its lines."""
    comparisons = []
    for line in lines:
        took = _TOOK.match(line.message)
        if took is None:
            continue
        place = (line.node, line.own_id)
        before = (
            each for each in lines if (each.node, each.own_id) == place and each.at <= line.at
        )
        first = next((each for each in before if each.message.startswith(_BEGINS[took[2]])), None)
        if first is not None:
            comparisons.append(
                Comparison(
                    what=f"{line.service} on {line.node}: {took[2]}",
                    by_lines_s=line.at - first.at,
                    by_service_s=float(took[1]),
                )
            )
    return comparisons
