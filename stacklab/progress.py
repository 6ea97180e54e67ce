"""Progress of the work on a lab: stages with their times, for a listener that shows them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Duration of one stage of one row; a row is a node, an image or the host."""

    row: str
    stage: str
    elapsed_s: float  # also of a stage that failed


class Listener(Protocol):
    """A view that shows progress; called from several threads, but one call at a time."""

    def started(self, row: str, stage: str) -> None:
        """Show that a stage of a row has begun."""
        ...

    def said(self, row: str, text: str) -> None:
        """Show what a row waits for, instead of what it waited for before."""
        ...

    def noted(self, row: str, text: str) -> None:
        """Show something that was found out; it stays on the screen."""
        ...

    def ended(self, row: str, stage: str, elapsed_s: float, error: BaseException | None) -> None:
        """Show that a stage of a row has ended, with the error that ended it, if any."""
        ...


class Progress:
    """Stages that are reported to a listener and timed. Thread-safe."""

    def __init__(self, listener: Listener | None = None) -> None:
        self._listener = listener
        # Held while the listener is called, too: a listener need not be thread-safe.
        self._lock = threading.Lock()
        self._timings: list[Timing] = []

    @property
    def timings(self) -> tuple[Timing, ...]:
        """Return every stage that has ended, in the order in which they ended."""
        with self._lock:
            return tuple(self._timings)

    def say(self, row: str, text: str) -> None:
        """Report what a row waits for."""
        with self._lock:
            if self._listener:
                self._listener.said(row, text)

    def note(self, row: str, text: str) -> None:
        """Report something that stays on the screen."""
        with self._lock:
            if self._listener:
                self._listener.noted(row, text)

    @contextmanager
    def stage(self, row: str, stage: str) -> Iterator[None]:
        """Report a stage and time what runs inside the `with` block."""
        started = time.monotonic()
        error: BaseException | None = None
        with self._lock:
            if self._listener:
                self._listener.started(row, stage)
        try:
            yield
        except BaseException as raised:  # Ctrl-C ends a stage, too
            error = raised
            raise
        finally:
            elapsed_s = time.monotonic() - started
            with self._lock:
                self._timings.append(Timing(row=row, stage=stage, elapsed_s=elapsed_s))
                if self._listener:
                    self._listener.ended(row, stage, elapsed_s, error)
