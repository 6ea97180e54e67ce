"""One attempt at a stage: its steps one after the other, each left on its node as work.

The order of what is written down makes an attempt survive a kill at any point: old work is
forgotten, then the journal says that the step begins, then the work is started. So work that a
node has under a step's name belongs to this attempt if, and only if, the journal has the step.
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass

from stacklab.errors import LabError
from stacklab.foreign import printable
from stacklab.progress import Progress
from stacklab.stages.journal import Event, How, Journal, Line, StageState, StepState
from stacklab.stages.selection import can_go_on, makes_others_run
from stacklab.stages.stage import Stage, Step
from stacklab.stages.step_log import StepLog
from stacklab.stages.worker import NodeLost, Work, Worker, WorkPhase

_MOST_REBOOTS = 2  # after which a step is run again
_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """How an attempt ended; `step` is the one that it ended at, None if all were done."""

    stage: Stage
    how: How
    was_done: bool = False  # before: nothing was run
    makes_others_run: bool = True  # what waits for it is not done any more
    step: StepState | None = None
    why: str = ""  # printable
    exit_code: int | None = None
    signal: str = ""
    elapsed_s: float = 0.0


class StepNotDone(LabError):
    """A step's work ended, and the step is not done."""

    def __init__(self, why: str, work: Work | None = None) -> None:
        super().__init__(why)
        self.work = work


def unit_name(stage: str, number: int) -> str:
    """Return the name of a step's work on its node: lower case, digits and -, at most 41."""
    word = re.sub(r"[^a-z0-9]+", "-", stage.lower()).strip("-")[:20].strip("-")
    # Two names may become the same word.
    digest = hashlib.sha256(stage.encode()).hexdigest()[:6]
    return f"stage-{word}-{digest}-{number}"


def row_of(stage: str, node: str) -> str:
    """Return the row of a view for what a stage does on a node: its name says both, mostly."""
    return stage if stage.endswith(f"@{node}") else f"{stage} {node}"


class Attempt:
    """An attempt at one stage; `run` does what is left of it."""

    def __init__(
        self,
        stage: Stage,
        digest: str,
        *,
        worker: Worker,
        journal: Journal,
        log: StepLog,
        progress: Progress,
    ) -> None:
        self._stage = stage
        self._digest = digest
        self._worker = worker
        self._journal = journal
        self._log = log
        self._progress = progress
        self._began_at = time.time()
        self._deadline = time.monotonic() + stage.limit_s
        self._reached: StepState | None = None
        self._makes_others_run = True
        self.row = stage.name  # of the view, as of now

    def run(self, before: StageState | None) -> StageResult:
        """Go on with the attempt before if it is unfinished, else begin a new one.

        Returns how it ended, however that was; raises OSError for the host's own disk.
        """
        self._makes_others_run = makes_others_run(before, self._digest)
        try:
            known = self._begin(before)
            for number, step in enumerate(self._stage.steps, start=1):
                self._do_step(number, step, known.get(number))
            self._reached = None
            self._check_stage()
        except StepNotDone as failed:
            return self._end(How.FAILED, failed.message, failed.work)
        except NodeLost as lost:
            return self._end(How.INTERRUPTED, lost.message)
        except LabError as error:
            return self._end(How.FAILED, error.message)
        return self._end(How.DONE)

    def _begin(self, before: StageState | None) -> dict[int, StepState]:
        """Return the steps that this attempt has reached already."""
        if before is not None and can_go_on(before, self._digest):
            self._began_at = before.began_at
            self._write(Event.RESUMED)
            return before.steps
        if before is not None and before.is_unfinished and before.last_step is not None:
            self._wait_for_older(before.last_step)
        self._log.restart()
        self._write(Event.BEGAN, digest=self._digest)
        return {}

    def _wait_for_older(self, step: StepState) -> None:
        """Follow what still runs of an attempt with other inputs: it must not run beside ours."""
        if self._worker.look(step.node, step.unit).phase is not WorkPhase.RUNNING:
            return
        self._enter(step)
        with self._progress.stage(self.row, f"{step.title} (as it was before the change)"):
            self._log.note(f"{step.node}: {step.title}: left of an attempt with other inputs")
            self._worker.follow(step.node, step.unit, heard=self._log.hear, limit_s=self._left_s())

    def _do_step(self, number: int, step: Step, known: StepState | None) -> None:
        if known is not None and known.is_done:
            return
        unit = unit_name(self._stage.name, number)
        state = known or StepState(
            number=number, title=step.title, node=step.node, unit=unit, log_at=0
        )
        self._enter(state)
        with self._progress.stage(self.row, step.title):
            work = self._find_work(step, state, is_ours=known is not None)
            if work is None or work.phase is WorkPhase.GONE:
                work = self._run_work(step, state, before=work)
            if work is not None:
                self._judge(step, work)
        self._write(Event.STEP_DONE, step=number)
        state.is_done = True

    def _find_work(self, step: Step, state: StepState, *, is_ours: bool) -> Work | None:
        """Return what became of the step's work that an earlier run left; None without such work.

        `is_ours` is True if the journal has the step in this very attempt.
        """
        found = self._worker.look(step.node, state.unit)
        if is_ours and found.phase is WorkPhase.GONE:
            return found
        is_running = found.phase is WorkPhase.RUNNING
        if not is_running and not (is_ours and found.phase is WorkPhase.ENDED):
            return None
        if not is_ours:  # the journal was lost, but not the work
            state.log_at = self._log.end
            self._write_step(state)
        return self._follow(step, state)

    def _run_work(self, step: Step, state: StepState, *, before: Work | None) -> Work | None:
        """Run a step, and again after a reboot; None if there is nothing to do.

        `before` is what an earlier run left of it, if its node went down in the middle.
        """
        work = before
        reboots = 0
        while True:
            if work is not None:
                reboots += 1
                self._wait_for_boot(step, reboots)
            if step.done and self._worker.is_done(step.node, step.done, user=step.user):
                state.log_at = self._log.end
                self._log.note(f"{step.node}: {step.title}: nothing to do")
                self._write_step(state)
                return None
            self._start(step, state)
            work = self._follow(step, state)
            if work.phase is not WorkPhase.GONE:
                return work

    def _wait_for_boot(self, step: Step, reboots: int) -> None:
        """Wait for a node that went down in the middle; raises StepNotDone for one too many."""
        if reboots > _MOST_REBOOTS:
            raise StepNotDone(f"{step.node} went down in the middle, {reboots} times")
        what = (
            f"{step.node} went down in the middle of: {step.title}; it is run again "
            f"({reboots} of {_MOST_REBOOTS})"
        )
        self._log.note(what)
        self._progress.note(self.row, what)
        self._worker.wait_for_boot(step.node)

    def _start(self, step: Step, state: StepState) -> None:
        left_s = self._left_s()
        if left_s < 1:
            raise StepNotDone(self._over_limit())
        self._worker.forget(step.node, state.unit)
        state.log_at = self._log.end
        self._write_step(state)
        self._worker.start(step.node, state.unit, step.command, user=step.user, limit_s=left_s)

    def _follow(self, step: Step, state: StepState) -> Work:
        self._log.begin_step(
            f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {step.node}, as {step.user}: "
            f"{step.title}: {step.command}",
            state.log_at,
        )
        work = self._worker.follow(
            step.node, state.unit, heard=self._log.hear, limit_s=self._left_s()
        )
        if work.phase is WorkPhase.ENDED:
            self._log.note(ending_words(work))
        if work.left_out:
            self._log.note(f"{step.node} did not keep the {work.left_out} bytes that came then")
        return work

    def _judge(self, step: Step, work: Work) -> None:
        """Raise StepNotDone unless the step is done.

        A step that has a test is judged by it: some programs end with 0 whatever happened,
        others with 1 although all is well.
        """
        if work.is_over_limit:
            raise StepNotDone(self._over_limit(), work)
        if step.done:
            if self._worker.is_done(step.node, step.done, user=step.user):
                return
            if work.exit_code == 0:
                raise StepNotDone(f"ended with 0, but its test fails: {step.done}", work)
        if work.exit_code != 0:
            raise StepNotDone(ending_words(work), work)

    def _check_stage(self) -> None:
        stage = self._stage
        if not stage.done:
            return
        last = stage.steps[-1]
        if not self._worker.is_done(last.node, stage.done, user=last.user):
            raise StepNotDone(f"all steps ended well, but the stage's test fails: {stage.done}")

    def _left_s(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def _over_limit(self) -> str:
        return f"over its limit of {self._stage.limit_s / _MINUTE_S:g} minutes: something hangs"

    def _enter(self, state: StepState) -> None:
        self._reached = state
        self.row = row_of(self._stage.name, state.node)

    def _end(self, how: How, why: str = "", work: Work | None = None) -> StageResult:
        exit_code = work.exit_code if work else None
        signal = work.signal if work else ""
        elapsed_s = max(0.0, time.time() - self._began_at)
        if why:
            self._log.note(why)
        self._write(
            Event.ENDED,
            how=how,
            why=why,
            exit_code=exit_code,
            signal=signal,
            elapsed_s=round(elapsed_s, 1),
        )
        return StageResult(
            stage=self._stage,
            how=how,
            makes_others_run=self._makes_others_run,
            step=self._reached,
            why=printable(why),
            exit_code=exit_code,
            signal=signal,
            elapsed_s=elapsed_s,
        )

    def _write_step(self, state: StepState) -> None:
        self._write(
            Event.STEP,
            step=state.number,
            title=state.title,
            node=state.node,
            unit=state.unit,
            log_at=state.log_at,
        )

    def _write(self, event: Event, **fields: object) -> None:
        named = {"event": event, "at": time.time(), "stage": self._stage.name, **fields}
        self._journal.write(Line(**named))  # type: ignore[arg-type]


def ending_words(work: Work) -> str:
    """Return in a few words how work ended."""
    if work.signal:
        words = f"ended by signal {work.signal}"
    elif work.exit_code is None:
        words = "ended without an exit code"
    else:
        words = f"exit code {work.exit_code}"
    # Its last output, which would say so, had no place either.
    return f"{words}; the node's disk is full" if work.is_disk_full else words
