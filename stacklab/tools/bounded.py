"""Bound calls that may never return, such as those of a C library that waits for an answer.

A signal does not end such a wait: the library restarts it, and Python's handler does not
run before the call returns. So each call runs in a daemon thread of its own, and its
caller waits in short pieces, which every signal ends. A thread that is stuck keeps
nobody from leaving: Python does not join daemon threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

_T = TypeVar("_T")
_PIECE_S = 0.2


class OverLimit(Exception):
    """A call that did not return within its limit; its thread may still be stuck in it."""


class _RunningCall:
    """A function at work in a daemon thread, and what came of it."""

    def __init__(self, function: Callable[[], object], name: str) -> None:
        self._function = function
        self._results: list[object] = []
        self._errors: list[BaseException] = []
        self.has_ended = threading.Event()
        # A daemon: Python does not wait for it at its exit, though it may be stuck for ever.
        threading.Thread(target=self._run_function, name=name, daemon=True).start()

    def _run_function(self) -> None:
        try:
            self._results.append(self._function())
        except BaseException as error:  # raised again where the caller can see it
            self._errors.append(error)
        finally:
            self.has_ended.set()

    def result(self) -> object:
        """Return what the function returned, or raise what it raised."""
        # Taken out: an error that is raised holds frames, and these hold this object.
        if self._errors:
            raise self._errors.pop()
        return self._results.pop()


def call(function: Callable[[], _T], *, limit_s: float, name: str = "bounded call") -> _T:
    """Return what the function returns; raises OverLimit when it takes longer than `limit_s`."""
    running = _RunningCall(function, name)
    deadline = time.monotonic() + limit_s
    while True:
        left_s = deadline - time.monotonic()
        # In pieces: between two of them Python runs the handlers of signals.
        piece_s = max(0.0, min(_PIECE_S, left_s))
        if running.has_ended.wait(piece_s):
            return running.result()  # type: ignore[return-value]
        if left_s <= 0:
            raise OverLimit(f"no answer within {limit_s:.0f} s")


def together(functions: Sequence[Callable[[], object]], *, name: str = "together") -> None:
    """Run all of them at once and return when all have ended; raises the first one's error.

    Each has to have a bound of its own. This is not a ThreadPoolExecutor, because Python
    joins its threads: Ctrl-C would wait for the slowest of them.
    """
    all_running = [_RunningCall(function, name) for function in functions]
    # All are waited for before the first error is raised: none is left at work.
    for running in all_running:
        while not running.has_ended.wait(_PIECE_S):
            pass
    for running in all_running:
        running.result()
