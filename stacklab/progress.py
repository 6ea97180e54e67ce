"""What is going on, told as it happens; who shows it, and how, is decided elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long one stage of one row took; a row is a node, an image or the host."""

    row: str
    stage: str
    elapsed_s: float


class Listener(Protocol):
    """Shows progress; called from several threads, one at a time."""

    def started(self, row: str, stage: str) -> None:
        """A stage of a row began."""
        ...

    def said(self, row: str, text: str) -> None:
        """A row tells what it waits for; replaces what it said before."""
        ...

    def noted(self, row: str, text: str) -> None:
        """Something worth keeping was found out; it stays to be read."""
        ...

    def ended(self, row: str, stage: str, elapsed_s: float, error: BaseException | None) -> None:
        """A stage of a row is over."""
        ...


class Progress:
    """Tells a listener about stages, and keeps how long each took. Thread-safe."""

    def __init__(self, listener: Listener | None = None) -> None:
        self._listener = listener
        self._lock = threading.Lock()
        self._timings: list[Timing] = []

    @property
    def timings(self) -> tuple[Timing, ...]:
        """Every stage that ended, in the order of ending."""
        with self._lock:
            return tuple(self._timings)

    def say(self, row: str, text: str) -> None:
        """Tell what a row waits for."""
        with self._lock:
            if self._listener:
                self._listener.said(row, text)

    def note(self, row: str, text: str) -> None:
        """Tell something that stays to be read."""
        with self._lock:
            if self._listener:
                self._listener.noted(row, text)

    @contextmanager
    def stage(self, row: str, stage: str) -> Iterator[None]:
        """Time what happens inside."""
        started = time.monotonic()
        error: BaseException | None = None
        with self._lock:
            if self._listener:
                self._listener.started(row, stage)
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            elapsed = time.monotonic() - started
            with self._lock:
                self._timings.append(Timing(row=row, stage=stage, elapsed_s=elapsed))
                if self._listener:
                    self._listener.ended(row, stage, elapsed, error)
