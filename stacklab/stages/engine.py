"""Run the stages of a lab: in their order, side by side where they may be, from where they stand.

    engine = Engine(stages, digests, workers=..., journal=..., open_log=..., progress=...)
    results = engine.run(selection)

Knows stages, not OpenStack, and no nodes: a `Worker` leaves the work on them. A stage that is
done is passed over; an attempt that was cut short is gone on with. When a stage fails, no
further stage starts, and those that run are followed to their end, so that their results are
known. Ctrl-C follows nothing any more: the work goes on, and the next run attaches to it.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from stacklab.progress import Progress
from stacklab.stages.attempt import Attempt, StageResult
from stacklab.stages.journal import Event, How, Journal, Line
from stacklab.stages.selection import StageSelection, why_run
from stacklab.stages.stage import Stage
from stacklab.stages.step_log import StepLog
from stacklab.stages.worker import NodeLost, Worker, Workers

_TICK_S = 0.5  # Ctrl-C is raised between two looks at the queue
_LET_GO_S = 5.0  # for those who follow, to write down that they were interrupted

OpenLog = Callable[[Stage, Callable[[str], None]], StepLog]
AfterStage = Callable[[StageResult], None]


def no_hook(_result: StageResult) -> None:
    """Do nothing after a stage."""


class Engine:
    """Runs stages, once."""

    def __init__(
        self,
        stages: Sequence[Stage],
        digests: Mapping[str, str],
        *,
        workers: Workers,
        journal: Journal,
        open_log: OpenLog,
        progress: Progress,
        after_stage: AfterStage = no_hook,
    ) -> None:
        """Take what is needed; `digests` has each stage's inputs, see `input_digest`.

        `after_stage` is called in the thread of `run` when a stage was run and is done, before
        any stage starts that waits for it; others may be running.
        """
        self._stages = stages
        self._digests = digests
        self._workers = workers
        self._journal = journal
        self._open_log = open_log
        self._progress = progress
        self._after_stage = after_stage
        self._ended: queue.SimpleQueue[StageResult | BaseException] = queue.SimpleQueue()
        self._running: dict[str, threading.Thread] = {}
        self._finished: set[str] = set()
        self._ran: set[str] = set()
        self._failed = False
        self._selection = StageSelection()

    def run(self, selection: StageSelection) -> tuple[StageResult, ...]:
        """Run what has to be run, and return how each stage ended that was looked at.

        Raises KeyboardInterrupt when all followers have let go, and what the hook raises.
        """
        self._selection = selection
        self._finished = set(selection.passed)
        self._journal.write(
            Line(
                event=Event.RUN,
                at=time.time(),
                stages=tuple(stage.name for stage in self._stages),
            )
        )
        not_wanted = selection.passed | selection.left
        waiting = [stage for stage in self._stages if stage.name not in not_wanted]
        results: list[StageResult] = []
        try:
            while True:
                waiting = self._start_ready(waiting)
                if not self._running:
                    return tuple(results)
                results.append(self._take_result())
        except BaseException:
            self._let_go()
            raise

    def _start_ready(self, waiting: Sequence[Stage]) -> list[Stage]:
        """Start every stage whose turn has come, and return the others."""
        if self._failed:
            return []
        left: list[Stage] = []
        for stage in waiting:
            if not self._finished.issuperset(stage.after):
                left.append(stage)
                continue
            # A daemon: if it hangs in a call to a node, the command must end all the same.
            thread = threading.Thread(
                target=self._report, args=(stage,), name=stage.name, daemon=True
            )
            self._running[stage.name] = thread
            thread.start()
        return left

    def _take_result(self) -> StageResult:
        """Wait until a stage ends, and note what follows from that."""
        result: StageResult | BaseException | None = None
        while result is None:
            with contextlib.suppress(queue.Empty):
                result = self._ended.get(timeout=_TICK_S)
        if isinstance(result, BaseException):  # a bug, or this host's disk
            raise result
        name = result.stage.name
        del self._running[name]
        if result.how is not How.DONE:
            self._note_failure(result)
            return result
        self._finished.add(name)
        if not result.was_done:
            if result.makes_others_run:
                self._ran.add(name)
            self._after_stage(result)
        return result

    def _note_failure(self, result: StageResult) -> None:
        self._failed = True
        self._progress.note(result.stage.name, f"{result.how}: {result.why}")
        if self._running:
            others = ", ".join(self._running)
            self._progress.note(
                result.stage.name,
                f"no further stage starts; {others} still run and are followed to their end "
                "(Ctrl-C leaves them running)",
            )

    def _report(self, stage: Stage) -> None:
        """Run a stage in a thread of its own; whatever happens goes into the queue."""
        try:
            self._ended.put(self._run_stage(stage))
        except BaseException as error:
            self._ended.put(error)

    def _run_stage(self, stage: Stage) -> StageResult:
        history = self._journal.read()
        digest = self._digests[stage.name]
        attempt: Attempt | None = None

        def said(text: str) -> None:
            self._progress.say(attempt.row if attempt else stage.name, text)

        worker = self._workers.of_stage(said)
        why = why_run(stage, history, digest, selection=self._selection, ran=self._ran)
        if not why:
            try:
                if is_still_done(stage, worker):
                    return StageResult(stage=stage, how=How.DONE, was_done=True)
            except NodeLost as lost:
                return StageResult(stage=stage, how=How.INTERRUPTED, why=lost.message)
        log = self._open_log(stage, said)
        try:
            attempt = Attempt(
                stage,
                digest,
                worker=worker,
                journal=self._journal,
                log=log,
                progress=self._progress,
            )
            return attempt.run(history.state(stage.name))
        finally:
            log.close()

    def _let_go(self) -> None:
        """Have those who follow stop; their work goes on."""
        self._workers.stop_waiting()
        deadline = time.monotonic() + _LET_GO_S
        for thread in self._running.values():
            thread.join(max(0.0, deadline - time.monotonic()))


def is_still_done(stage: Stage, worker: Worker) -> bool:
    """Return True unless the stage has a test that fails today."""
    if not stage.done:
        return True
    last = stage.steps[-1]
    return worker.is_done(last.node, stage.done, user=last.user)
