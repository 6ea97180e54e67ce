"""`lab.stack --follow`: show what runs on a lab's nodes, and start nothing.

Takes no lock, so that it works beside the `lab.stack` that runs the stages: it reads that one's
journal, and attaches to the same units.
"""

from __future__ import annotations

import threading
import time
from typing import TypeAlias

from stacklab import locks, secrets
from stacklab.errors import AlreadyRunning, LabError
from stacklab.installers import rendering
from stacklab.model.lab import Lab
from stacklab.paths import LabPaths
from stacklab.stages.attempt import ending_words, row_of
from stacklab.stages.journal import History, Journal, StageState, StepState
from stacklab.stages.step_log import LastLine
from stacklab.stages.worker import Work, WorkPhase
from stacklab.workflow.context import Context, running_lab
from stacklab.workflow.masking import Masker
from stacklab.workflow.stack.node_worker import NodeWorkers
from stacklab.workflow.stack.stack import interrupted

_POLL_S = 1.0
_Key: TypeAlias = tuple[str, int, float, int]  # stage, step, when it began, place in the log


def follow(context: Context, name: str) -> History:
    """Show the steps that run until none does, and return the journal's last word.

    Raises LabError if nothing runs and nobody runs the stages.
    """
    lab, paths = running_lab(context, name)
    journal = Journal(paths.journal)
    if not _unfinished(journal.read()) and not _is_driven(paths):
        raise LabError(f"no stage of lab {name} runs", hint=f"./invoke lab.stack {name} --plan")
    follower = _Follower(context, lab, paths)
    try:
        while True:
            # Asked before the journal is read: who drives may end between the two.
            is_driven = _is_driven(paths)
            history = journal.read()
            follower.attend(history)
            if not follower.is_busy and not is_driven:
                break
            time.sleep(_POLL_S)
    except KeyboardInterrupt as error:
        follower.let_go()
        raise interrupted(name, paths) from error
    if _unfinished(history):
        context.progress.note("host", f"nobody goes on with it: ./invoke lab.stack {name}")
    return history


def _unfinished(history: History) -> tuple[StageState, ...]:
    return tuple(state for state in history.states.values() if state.is_unfinished)


def _is_driven(paths: LabPaths) -> bool:
    """Return True if a command holds the lab, which may be the `lab.stack` that runs stages."""
    try:
        with locks.held(paths.lock, f"lab {paths.name}"):
            return False
    except AlreadyRunning:
        return True


class _Follower:
    """Follows each step that the journal names, in a thread of its own, once."""

    def __init__(self, context: Context, lab: Lab, paths: LabPaths) -> None:
        self._context = context
        self._workers = NodeWorkers(context.runner, paths)
        shaped = rendering.secret_texts(lab, secrets.kept(paths.secrets))
        self._mask = Masker(paths, shaped=shaped).text
        self._followed: set[_Key] = set()
        self._threads: list[threading.Thread] = []

    @property
    def is_busy(self) -> bool:
        """Return True while a step is followed."""
        return any(thread.is_alive() for thread in self._threads)

    def attend(self, history: History) -> None:
        """Follow the steps that run and are not followed yet."""
        for state in _unfinished(history):
            step = state.last_step
            if step is None or step.is_done:
                continue
            key = (state.name, step.number, state.began_at, step.log_at)
            if key not in self._followed:
                self._followed.add(key)
                thread = threading.Thread(target=self._follow, args=(key, step), daemon=True)
                self._threads.append(thread)
                thread.start()

    def let_go(self) -> None:
        """Follow nothing any more."""
        self._workers.stop_waiting()
        for thread in self._threads:
            thread.join(2.0)

    def _follow(self, key: _Key, step: StepState) -> None:
        progress = self._context.progress
        row = row_of(key[0], step.node)

        def said(text: str) -> None:
            progress.say(row, text)

        worker = self._workers.of_stage(said)
        shown = LastLine(mask=self._mask, said=said)
        try:
            if worker.look(step.node, step.unit).phase is WorkPhase.ABSENT:
                # The journal has a step before its node has: it is looked for again.
                self._followed.discard(key)
                return
            with progress.stage(row, step.title):
                work = worker.follow(step.node, step.unit, heard=shown.hear)
            progress.note(row, f"{step.title}: {_words(work)}")
        except LabError as error:  # NodeLost, too
            progress.note(row, error.message)


def _words(work: Work) -> str:
    return ending_words(work) if work.phase is WorkPhase.ENDED else "the node went down"
