"""Our stdin, stdout and stderr: whatever they are, a command ends as it should.

They may be closed, full, a pipe whose reader has gone, or of an encoding that lacks a letter.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from invoke import Exit

from stacklab.errors import HostError

if TYPE_CHECKING:
    from typing_extensions import Buffer  # of the standard library since 3.12

_BROKEN_PIPE = 141  # as a shell has it of what SIGPIPE ended: 128 + 13


class StdoutFailed(OSError):
    """Stdout can't be written, and its reader has not just gone."""


class _OutputFile(io.RawIOBase):
    """The file behind stdout or stderr."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        """See io.RawIOBase."""
        return True

    def fileno(self) -> int:
        """See io.RawIOBase."""
        return self._descriptor

    def isatty(self) -> bool:
        """See io.RawIOBase."""
        return os.isatty(self._descriptor)

    def write(self, data: Buffer, /) -> int:
        """Write all of it."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        return memoryview(data).nbytes


class _Stdout(_OutputFile):
    """Stdout, whose errors are told apart from those of all other files."""

    def write(self, data: Buffer, /) -> int:
        """Write all of it; raises StdoutFailed, and BrokenPipeError."""
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StdoutFailed(error.errno, error.strerror) from error


class _Stderr(_OutputFile):
    """Stderr, or nothing where it can't be written: no command fails for want of its comments."""

    def write(self, data: Buffer, /) -> int:
        """Write as much of it as goes."""
        with contextlib.suppress(OSError):
            super().write(data)
        return memoryview(data).nbytes


def prepare() -> None:
    """Make the three streams safe to use; to be called once, before anything is opened."""
    _open_closed_ones()
    if _is_pythons_own("stdout"):
        # A name or a description may have a letter that the terminal's encoding lacks.
        errors = "replace" if sys.stdout.errors == "strict" else sys.stdout.errors
        sys.stdout = _text(_Stdout(sys.stdout.fileno()), sys.stdout, errors or "replace")
    if _is_pythons_own("stderr"):
        sys.stderr = _text(_Stderr(sys.stderr.fileno()), sys.stderr, "backslashreplace")


def _is_pythons_own(name: str) -> bool:
    """Return False where somebody has put another stream in its place, as pytest does."""
    return getattr(sys, name) is getattr(sys, f"__{name}__")


def _text(file: _OutputFile, stream: TextIO, errors: str) -> TextIO:
    """Return a stream like the given one, but for the file and what is done with odd letters."""
    is_prompt = stream.isatty() or stream.fileno() == 2
    return io.TextIOWrapper(
        io.BufferedWriter(file),
        encoding=stream.encoding,
        errors=errors,
        line_buffering=is_prompt,
    )


def _open_closed_ones() -> None:
    """Let what is closed be /dev/null, as the next file that is opened would be in its place."""
    for descriptor, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is not None:
            continue
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, descriptor)
        if nothing != descriptor:
            os.close(nothing)
        stream = os.fdopen(descriptor, mode, encoding="utf-8", errors="replace", closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


@contextmanager
def written_out() -> Iterator[None]:
    """Have all that was printed written when the block ends; raises Exit where it can't be."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError as error:
        _forget_stdout()
        raise Exit(code=_BROKEN_PIPE) from error
    except StdoutFailed as error:
        _forget_stdout()
        refusal = HostError(
            f"stdout can't be written: {error.strerror}",
            hint="write it to another place, or make room there: df -h",
        )
        raise Exit(str(refusal), code=refusal.exit_code) from error


def _forget_stdout() -> None:
    """Send what is left to nowhere: Python would try it once more at its end, and complain."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
