"""A lab's event log: which commands did what to the lab, and how they ended."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from stacklab.errors import LabError
from stacklab.foreign import printable
from stacklab.paths import HostPaths, LabPaths
from stacklab.paths.names import is_lab_name
from stacklab.progress import Listener

_MOST_BYTES = 1024 * 1024  # of one file; then it is renamed, and a new one begins
# Events that wait for the lab's record.
_MOST_WAITING = 500
_ERROR_LINES = 20
_MOST_OF_ONE = 16 * 1024  # characters


class EventLog:
    """A listener that writes down what it hears, and hands it on.

    A write that fails never fails a command. Lines wait until the lab's record exists; lines
    of a lab that was never made, and lines after its end, are dropped.
    """

    def __init__(self, paths: LabPaths, listener: Listener | None = None) -> None:
        self._paths = paths
        self._listener = listener
        self._waiting: list[str] = []

    def write(self, text: str) -> None:
        """Add an event; further lines of it are indented."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._waiting.append(f"{now} [{os.getpid()}] {_printable_lines(text)}\n")
        # The newest stay: a long command may end before there is a record.
        del self._waiting[:-_MOST_WAITING]
        if not self._paths.record.exists():
            return
        with contextlib.suppress(OSError):  # a full disk, somebody else's lab
            _append_to_log(self._paths.events, "".join(self._waiting))
            self._waiting.clear()

    def started(self, row: str, stage: str) -> None:
        """See Listener."""
        self.write(f"{row}: {stage}")
        if self._listener:
            self._listener.started(row, stage)

    def said(self, row: str, text: str) -> None:
        """See Listener; not written down, for it comes several times a second."""
        if self._listener:
            self._listener.said(row, text)

    def noted(self, row: str, text: str) -> None:
        """See Listener."""
        self.write(f"{row}: {text}")
        if self._listener:
            self._listener.noted(row, text)

    def ended(self, row: str, stage: str, elapsed_s: float, error: BaseException | None) -> None:
        """See Listener."""
        how = f"done in {elapsed_s:.1f} s"
        if error is not None:
            # One line: the command's own end, which follows, has all of them.
            how = f"failed after {elapsed_s:.1f} s: {_error_words(error, 1)}"
        self.write(f"{row}: {stage} {how}")
        if self._listener:
            self._listener.ended(row, stage, elapsed_s, error)


@contextmanager
def recorded(paths: LabPaths, title: str, listener: Listener | None) -> Iterator[Listener]:
    """Write down that a command begins, what it does, and how it ends."""
    log = EventLog(paths, listener)
    started = time.monotonic()
    log.write(f"{title} begins")
    try:
        yield log
    except BaseException as error:
        elapsed_s = time.monotonic() - started
        words = _error_words(error, _ERROR_LINES)
        log.write(f"{title} failed after {elapsed_s:.1f} s: {words}")
        raise
    log.write(f"{title} done in {time.monotonic() - started:.1f} s")


def for_title(
    host: HostPaths, title: str, listener: Listener | None
) -> AbstractContextManager[Listener | None]:
    """Record a session whose title is a command and a lab (`lab.up mini-2node`).

    For all other sessions the listener alone is returned.
    """
    command, _, name = title.partition(" ")
    if not command.startswith("lab.") or not is_lab_name(name):
        return nullcontext(listener)
    return recorded(host.lab(name), title, listener)


def _error_words(error: BaseException, most: int) -> str:
    if isinstance(error, LabError):
        return "\n".join(error.message.splitlines()[:most])
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _printable_lines(text: str) -> str:
    """Return an event's text, made printable: no line of a node or a program forges an event."""
    is_cut = len(text) > _MOST_OF_ONE
    shown = printable(text[:_MOST_OF_ONE].rstrip()).replace("\t", " ")
    return f"{shown} (cut off here)" if is_cut else shown


def _append_to_log(log: Path, text: str) -> None:
    log.parent.mkdir(mode=0o700, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > _MOST_BYTES:
            log.replace(log.with_name(f"{log.name}.1"))
    # O_NOFOLLOW: not through a link that somebody has put there.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(log, flags, 0o600)
    try:
        os.write(descriptor, text.encode())  # one write: commands may run side by side
    finally:
        os.close(descriptor)
