"""The journal of a lab's stages: what ran, with which inputs, and how it ended.

A file of lines, each a JSON object, to which lines are only ever added:

    {"event": "run", "stages": [...]}               a `lab.stack` begins; all stages of the lab
    {"event": "began", "stage": ..., "digest": ...}   an attempt at a stage begins
    {"event": "resumed", "stage": ...}                a later run goes on with that attempt
    {"event": "step", "step": 1, "node": ..., "unit": ...}   a step is about to be started
    {"event": "step-done", "step": 1}
    {"event": "ended", "how": "done", "elapsed_s": ...}
    {"event": "made", "node": ...}                    a node was made anew: it lost what was done

An attempt lasts until a line says that its stage is done or has failed. One that was
interrupted or killed is still the same attempt: the next `lab.stack` goes on with it, and
takes what its last step left on the node. A line that was torn by a crash is passed over.
"""

from __future__ import annotations

import dataclasses
import json
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from stacklab import files
from stacklab.foreign import printable

_MODE = 0o600
_DIRECTORY_MODE = 0o700


class Event(StrEnum):
    """Kinds of lines."""

    RUN = "run"
    BEGAN = "began"
    RESUMED = "resumed"
    STEP = "step"
    STEP_DONE = "step-done"
    ENDED = "ended"
    MADE = "made"


class How(StrEnum):
    """Ways in which an attempt at a stage ends."""

    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # the work may go on on the node


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the journal; what an event does not need is left at its default."""

    event: Event
    at: float  # time.time()
    stage: str = ""
    digest: str = ""
    step: int = 0  # from 1
    title: str = ""
    node: str = ""
    unit: str = ""  # the name under which the node knows the step's work
    log_at: int = 0  # where the step's output begins in the stage's log
    how: str = ""
    why: str = ""  # of a failure; foreign text in part
    exit_code: int | None = None
    signal: str = ""
    elapsed_s: float = 0.0
    stages: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class StepState:
    """A step of the last attempt at a stage."""

    number: int  # from 1
    title: str
    node: str
    unit: str
    log_at: int
    is_done: bool = False


@dataclass(slots=True, kw_only=True)
class StageState:
    """The last attempt at a stage, as far as the journal tells."""

    name: str
    digest: str
    began_at: float
    how: How | None = None  # None: it runs, or whoever ran it was killed
    ended_at: float = 0.0
    elapsed_s: float = 0.0
    exit_code: int | None = None
    signal: str = ""
    why: str = ""
    done_at_line: int = -1  # number of the line that says that it is done
    # It was done, and goes on only for nodes that were made anew: what waits for it stays done.
    is_for_new_nodes: bool = False
    steps: dict[int, StepState] = field(default_factory=dict)

    @property
    def word(self) -> str:
        """Return the word for it: running, done, failed, interrupted."""
        return "running" if self.how is None else str(self.how)

    @property
    def is_done(self) -> bool:
        """Return True if all of the stage was done."""
        return self.how is How.DONE

    @property
    def is_unfinished(self) -> bool:
        """Return True if the attempt can be gone on with."""
        return self.how in (None, How.INTERRUPTED)

    @property
    def last_step(self) -> StepState | None:
        """Return the step that the attempt reached; None if it reached none."""
        return list(self.steps.values())[-1] if self.steps else None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All that a journal tells: the stages of the last run, and the state of each stage."""

    stages: tuple[str, ...] = ()
    states: Mapping[str, StageState] = field(default_factory=dict)

    def state(self, stage: str) -> StageState | None:
        """Return the last attempt at a stage; None if there was none."""
        return self.states.get(stage)


NO_HISTORY = History()


class Journal:
    """A lab's journal; several threads may write to it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def write(self, line: Line) -> None:
        """Add a line, and have it on the disk."""
        fields = _without_defaults(line)
        with self._lock:
            files.make_directory(self._path.parent, mode=_DIRECTORY_MODE)
            # O_NOFOLLOW: not through a link that somebody has put there.
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(self._path, flags, _MODE)
            try:
                # A torn last line must not swallow this one.
                start = "\n" if _lacks_newline(descriptor) else ""
                os.write(descriptor, f"{start}{json.dumps(fields)}\n".encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def note_new_nodes(self, nodes: Iterable[str]) -> None:
        """Write down that nodes were made anew, if anything was ever done on them."""
        if self._path.exists():
            for node in nodes:
                self.write(Line(event=Event.MADE, at=time.time(), node=node))

    def read(self) -> History:
        """Return what the journal tells; a journal that does not exist tells nothing."""
        stages: tuple[str, ...] = ()
        states: dict[str, StageState] = {}
        for number, line in enumerate(self._lines()):
            if line.event is Event.RUN:
                stages = line.stages
            elif line.event is Event.MADE:
                _forget_node(states, line.node)
            elif line.event is Event.BEGAN:
                states[line.stage] = StageState(
                    name=line.stage, digest=line.digest, began_at=line.at
                )
            elif line.stage in states:
                _take_line(states[line.stage], line, number)
        return History(stages=stages, states=states)

    def _lines(self) -> Iterator[Line]:
        try:
            text = self._path.read_text(errors="replace")
        except FileNotFoundError:
            return
        for written in text.split("\n"):
            line = _parse(written)
            if line is not None:
                yield line


def _forget_node(states: dict[str, StageState], node: str) -> None:
    """Take out what was done on a node that was made anew since."""
    for state in list(states.values()):
        lost = [step.number for step in state.steps.values() if step.node == node]
        if len(lost) == len(state.steps):
            if lost:
                del states[state.name]
            continue
        for number in lost:
            del state.steps[number]
        if lost and state.how is not How.FAILED:
            state.how = How.INTERRUPTED
            state.why = f"{node} was made anew"
            state.is_for_new_nodes = state.is_for_new_nodes or state.done_at_line >= 0


def _take_line(state: StageState, line: Line, number: int) -> None:
    """Change a stage's state by a further line of the same attempt."""
    if line.event is Event.STEP:
        # Last in the order of steps, also when it is run again.
        state.steps.pop(line.step, None)
        state.steps[line.step] = StepState(
            number=line.step,
            title=line.title,
            node=line.node,
            unit=line.unit,
            log_at=line.log_at,
        )
    elif line.event is Event.RESUMED:
        state.how = None
    elif line.event is Event.STEP_DONE:
        if line.step in state.steps:
            state.steps[line.step].is_done = True
    elif line.event is Event.ENDED:
        state.how = How(line.how)
        state.ended_at = line.at
        state.elapsed_s = line.elapsed_s
        state.exit_code = line.exit_code
        state.signal = line.signal
        state.why = printable(line.why)
        if state.is_done and not state.is_for_new_nodes:
            state.done_at_line = number


def _without_defaults(line: Line) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in dataclasses.asdict(line).items():
        if value != line.__dataclass_fields__[name].default:
            fields[name] = value
    return fields


def _lacks_newline(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"


def _parse(written: str) -> Line | None:
    """Return a line; None for one that was torn, or that another version wrote."""
    try:
        fields = json.loads(written)
        fields["event"] = Event(fields["event"])
        fields["stages"] = tuple(fields.get("stages", ()))
        if fields["event"] is Event.ENDED:
            How(fields["how"])
        return Line(**fields)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
