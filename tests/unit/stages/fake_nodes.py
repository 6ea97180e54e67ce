"""Nodes for the engine: work that ends as a test wants it, and is remembered over a kill."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stacklab.progress import Progress
from stacklab.stages.attempt import StageResult
from stacklab.stages.engine import AfterStage, Engine, no_hook
from stacklab.stages.journal import Journal, Line
from stacklab.stages.selection import input_digest, select
from stacklab.stages.stage import Stage, Step
from stacklab.stages.step_log import StepLog, file_name
from stacklab.stages.worker import NodeLost, Work, WorkPhase

ENDED_WELL = Work(phase=WorkPhase.ENDED, exit_code=0)
GONE = Work(phase=WorkPhase.GONE)
ABSENT = Work(phase=WorkPhase.ABSENT)


class Killed(BaseException):
    """kill -9: nothing after it happens."""


@dataclass
class Unit:
    command: str
    end: Work
    is_followed_to_its_end: bool = False


@dataclass
class FakeNodes:
    """Workers, and the nodes behind them.

    `ends` has, per command, how its work ends, one after the other; the last one stays.
    `succeeds` are the tests that succeed; a command that ended well adds those in `makes`.
    """

    ends: dict[str, list[Work]] = field(default_factory=dict)
    outputs: dict[str, bytes] = field(default_factory=dict)
    makes: dict[str, str] = field(default_factory=dict)
    succeeds: set[str] = field(default_factory=set)
    holds: dict[str, threading.Event] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)  # nodes
    units: dict[tuple[str, str], Unit] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    calls: list[tuple[str, ...]] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)
    limits_of_following: list[float] = field(default_factory=list)
    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    kill_at: int = -1  # the number of the call before which everything ends
    stopping: threading.Event = field(default_factory=threading.Event)

    def of_stage(self, said: Callable[[str], None]) -> FakeNodes:
        self.said = said
        return self

    def stop_waiting(self) -> None:
        self.stopping.set()
        for hold in self.holds.values():
            hold.set()

    def _called(self, node: str, *words: str) -> None:
        if len(self.calls) == self.kill_at:
            self.kill_at = -1
            raise Killed
        self.calls.append((node, *words))
        if node in self.lost:
            raise NodeLost(f"{node} has not answered for 300 s: refused")

    def is_done(self, node: str, command: str, *, user: str) -> bool:
        self._called(node, "is_done", command, user)
        return command in self.succeeds

    def look(self, node: str, name: str) -> Work:
        self._called(node, "look", name)
        unit = self.units.get((node, name))
        if unit is None:
            return ABSENT
        return unit.end if unit.is_followed_to_its_end else Work(phase=WorkPhase.RUNNING)

    def start(self, node: str, name: str, command: str, *, user: str, limit_s: float) -> None:
        assert (node, name) not in self.units, "work of that name was not forgotten"
        ends = self.ends.get(command, [ENDED_WELL])
        end = ends.pop(0) if len(ends) > 1 else ends[0]
        self.units[node, name] = Unit(command, end)
        self.started.append(command)
        self.limits.append(limit_s)
        # After the work was started: a kill here leaves it running.
        self._called(node, "start", name, user)

    def follow(
        self, node: str, name: str, *, heard: Callable[[bytes], object], limit_s: float
    ) -> Work:
        self.limits_of_following.append(limit_s)
        self._called(node, "follow", name)
        unit = self.units[node, name]
        heard(self.outputs.get(unit.command, f"output of {unit.command}\n".encode()))
        self.begun.release()
        if unit.command in self.holds:
            assert self.holds[unit.command].wait(30)
        if self.stopping.is_set():
            raise NodeLost("interrupted")
        unit.is_followed_to_its_end = True
        if unit.end.exit_code == 0:
            self.succeeds.add(self.makes.get(unit.command, ""))
        self._called(node, "ended", name)
        return unit.end

    def forget(self, node: str, name: str) -> None:
        self._called(node, "forget", name)
        unit = self.units.pop((node, name), None)
        assert unit is None or unit.is_followed_to_its_end, "running work was forgotten"

    def wait_for_boot(self, node: str) -> None:
        self._called(node, "wait_for_boot")


class FragileJournal(Journal):
    """A journal whose process is killed before, or after, it wrote a line."""

    def __init__(self, path: Path, *, kill_at: int = -1, is_after: bool = False) -> None:
        super().__init__(path)
        self._left = kill_at
        self._is_after = is_after
        self.lines: list[Line] = []

    def write(self, line: Line) -> None:
        is_last = self._left == 0
        self._left -= 1
        if is_last and not self._is_after:
            raise Killed
        super().write(line)
        self.lines.append(line)
        if is_last:
            raise Killed


@dataclass
class World:
    """A directory, nodes, and stages; each `run` is a new process."""

    directory: Path
    stages: Sequence[Stage]
    nodes: FakeNodes = field(default_factory=FakeNodes)
    progress: Progress = field(default_factory=Progress)
    answers: dict[str, str] = field(default_factory=dict)
    after_stage: AfterStage = no_hook

    @property
    def journal(self) -> Journal:
        return Journal(self.directory / "journal.jsonl")

    def log(self, stage: str) -> Path:
        return self.directory / "logs" / file_name(stage)

    def run(
        self, *, first: str = "", last: str = "", journal: Journal | None = None
    ) -> tuple[StageResult, ...]:
        self.nodes.stopping.clear()
        engine = Engine(
            self.stages,
            {stage.name: input_digest(stage, self.answers) for stage in self.stages},
            workers=self.nodes,
            journal=journal or self.journal,
            open_log=lambda stage, said: StepLog(
                self.log(stage.name), mask=lambda text: text.replace("secret", "***"), said=said
            ),
            progress=self.progress,
            after_stage=self.after_stage,
        )
        return engine.run(select(self.stages, first=first, last=last))

    def starts(self) -> Counter[str]:
        return Counter(self.nodes.started)


def step(command: str, node: str = "a", *, done: str = "", user: str = "stack") -> Step:
    return Step(node=node, title=f"do {command}", command=command, done=done, user=user)


def stage(name: str, *steps: Step, after: tuple[str, ...] = (), done: str = "") -> Stage:
    return Stage(
        name=name, steps=steps, limit_s=600.0, after=after, done=done, hint=f"hint of {name}"
    )
