"""The log of a stage: all output of its steps, masked, and the lines of it that matter."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from stacklab import files
from stacklab.foreign import printable

MOST_BYTES = 256 * 1024 * 1024  # of one stage
_MODE = 0o600
_DIRECTORY_MODE = 0o700
_LONGEST_LINE = 64 * 1024  # a longer one is written in pieces
_LONGEST_SECRET = 512  # of each piece this much waits for the next: a secret may be cut there
_TAIL_BYTES = 512 * 1024  # where errors are looked for
_MOST_ERRORS = 12
_LAST_LINES = 4
_SHOWN_CHARACTERS = 240  # of one line
_ERROR = re.compile(
    r"\b(error|fatal|failed|failure|cannot|can't|could not|couldn't|unable|traceback|exception"
    r"|denied|refused|no such|not found|no space left|out of memory|killed|panic|timed out"
    r"|unreachable|invalid|unmet dependencies)\b|^E: |\[ERROR\]|\bERR\b",
    re.IGNORECASE,
)
# Words that look like errors in what went well.
_NO_ERROR = re.compile(
    r"\b(0 (errors|failed)|failed=0|no errors?|ignore_errors|error_log|errors=0)\b"
    # bash -x: what is about to be run; DevStack and contrail.sh write the time before each line
    r"|^(\d{4}-\d\d-\d\d [\d:.]+ +(\| +)?)?\+{1,6} ",
    re.IGNORECASE,
)


def file_name(stage: str) -> str:
    """Return the name of a stage's log."""
    return re.sub(r"[^A-Za-z0-9@._-]", "-", stage).lstrip(".") + ".log"


class StepLog:
    """Takes the output of one stage's steps, piece by piece, and hands on each last line.

    A step's output is written from `begin_step` on. Following the step again begins there again,
    so the log has every byte once.
    """

    def __init__(
        self, path: Path, *, mask: Callable[[str], str], said: Callable[[str], None]
    ) -> None:
        self.path = path
        self._mask = mask
        self._said = said
        self._waiting = b""  # a line that has not ended yet
        self._is_full = False
        files.make_directory(path.parent, mode=_DIRECTORY_MODE)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.fdopen(os.open(path, flags, _MODE), "r+b", buffering=0)

    def close(self) -> None:
        """Write what has no end of line yet, and close the file."""
        self._write_waiting()
        self._file.close()

    def restart(self) -> None:
        """Begin an empty log for a new attempt; the one before is kept as NAME.1."""
        if self._file.seek(0, os.SEEK_END) == 0:
            return
        self._file.close()
        self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.fdopen(os.open(self.path, flags, _MODE), "r+b", buffering=0)
        self._is_full = False

    @property
    def end(self) -> int:
        """Return where the next byte goes."""
        return self._file.seek(0, os.SEEK_END)

    def begin_step(self, headline: str, at: int) -> None:
        """Write a step's headline at that byte; what was there of the step is written again."""
        self._waiting = b""
        self._is_full = False
        self._file.truncate(min(at, self.end))
        self._file.seek(0, os.SEEK_END)
        self.note(headline)

    def note(self, text: str) -> None:
        """Write a line of ours."""
        self._write_waiting()
        self._write(f"==> {printable(self._mask(text))}\n")

    def hear(self, data: bytes) -> None:
        """Take a piece of output."""
        *lines, self._waiting = (self._waiting + data).split(b"\n")
        if self._is_full:
            # Masking what nobody keeps would cost a CPU for as long as the node sends.
            lines = lines[-1:]
        if lines:
            # Together: masking line by line would cost more.
            text = self._mask(b"\n".join(lines).decode("utf-8", "replace"))
            self._write(f"{text}\n")
            say_last_line(text, self._said)
        if len(self._waiting) > _LONGEST_LINE:
            text = self._mask(self._waiting.decode("utf-8", "replace"))
            self._write(text[:-_LONGEST_SECRET])
            self._waiting = text[-_LONGEST_SECRET:].encode()

    def _write_waiting(self) -> None:
        if self._waiting:
            text = self._mask(self._waiting.decode("utf-8", "replace"))
            self._waiting = b""
            self._write(f"{text}\n")

    def _write(self, text: str) -> None:
        if self._is_full:
            return
        self._file.write(text.encode())
        if self.end > MOST_BYTES:
            self._is_full = True
            self._file.write(b"\n==> the log is full: the rest is on the node only\n")


class LastLine:
    """Takes output, piece by piece, and hands on each last line, masked; keeps nothing else."""

    def __init__(self, *, mask: Callable[[str], str], said: Callable[[str], None]) -> None:
        self._mask = mask
        self._said = said
        self._waiting = b""  # a secret in a line that is cut in two would not be found

    def hear(self, data: bytes) -> None:
        """Take a piece of output."""
        whole, newline, self._waiting = (self._waiting + data).rpartition(b"\n")
        self._waiting = self._waiting[-_LONGEST_LINE:]
        if newline:
            say_last_line(self._mask(whole.decode("utf-8", "replace")), self._said)


def say_last_line(text: str, said: Callable[[str], None]) -> None:
    """Hand on the last line of a text that is not empty."""
    for line in reversed(text[-_LONGEST_LINE:].split("\n")):
        # A progress bar overwrites its line: the last state counts.
        words = line.rstrip("\r").rpartition("\r")[2].strip()
        if words:
            said(printable(words[:_SHOWN_CHARACTERS]))
            return


def lines_that_matter(path: Path, start: int) -> tuple[str, ...]:
    """Return the errors in a log from that byte on, and its last lines; printable and bounded."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(start, size - _TAIL_BYTES))
            text = file.read(_TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return ()
    lines: list[str] = []
    for written in text.replace("\r\n", "\n").split("\n"):
        # Printable first: colours would hide where a word begins.
        line = printable(written.rpartition("\r")[2][:_SHOWN_CHARACTERS]).rstrip()
        if line and not line.startswith("==> "):
            lines.append(line)
    chosen = set(range(max(0, len(lines) - _LAST_LINES), len(lines)))
    errors = [number for number, line in enumerate(lines) if _is_error(line)]
    chosen.update(errors[-_MOST_ERRORS:])
    return tuple(dict.fromkeys(lines[number] for number in sorted(chosen)))


def _is_error(line: str) -> bool:
    return _ERROR.search(line) is not None and _NO_ERROR.search(line) is None
