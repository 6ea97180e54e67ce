"""The output of commands on nodes and of consoles: told apart by node, safe on a terminal.

A node may write what moves a terminal's cursor, so a terminal is shown printable text. A
pipe or a file gets the bytes as they came: whoever asks for these may need each of them. But
a job of a CI system writes its log through a pipe, and that system looks for orders in it.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TextIO

from stacklab.errors import LabError
from stacklab.foreign import printable
from stacklab.process.command import Result

# Variables that CI systems set: GitHub, GitLab and most others; Azure; Jenkins; TeamCity.
_OF_CI = ("CI", "TF_BUILD", "JENKINS_URL", "TEAMCITY_VERSION")


class ByNode:
    """Prints each line behind its node's name as it comes: see workflow.lab.entering."""

    def __init__(self, nodes: Sequence[str]) -> None:
        self._width = max(map(len, nodes))
        self._lock = threading.Lock()

    def out(self, node: str, line: bytes) -> None:
        """Print a line of a node's stdout to stdout."""
        self._print_line(node, line, sys.stdout)

    def err(self, node: str, line: bytes) -> None:
        """Print a line of a node's stderr to stderr."""
        self._print_line(node, line, sys.stderr)

    def ended(self, node: str, result: Result | LabError) -> None:
        """Print how a command ended, if not with 0, to stderr."""
        if isinstance(result, LabError):
            for line in result.message.splitlines():
                self.err(node, line.encode("utf-8", "replace"))
        elif result.exit_code:
            self.err(node, f"ended with {result.exit_code}".encode())

    def _print_line(self, node: str, line: bytes, stream: TextIO) -> None:
        """Print a line behind its node's name: printable where it is shown, else raw."""
        prefix = f"{node:<{self._width}} | "
        text = line.removesuffix(b"\n")
        with self._lock:
            if not _is_shown(stream):
                _write_raw(prefix.encode() + text + b"\n", stream)
                return
            # A line of a node must not look like one of another node.
            for piece in printable(text.decode("utf-8", "replace"), indent="").split("\n"):
                print(prefix + piece, file=stream, flush=True)


def console_printer() -> Callable[[bytes], None] | None:
    """Return what shows a line of a console to people; None where it may stay raw."""
    if not _is_shown(sys.stdout):
        return None

    def print_line(line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        print(printable(text, indent=""), flush=True)

    return print_line


def _is_shown(stream: TextIO) -> bool:
    """Return True for a terminal, and for what may be the log of a CI system's job."""
    if stream.isatty():
        return True
    if not any(map(os.environ.get, _OF_CI)):
        return False
    try:
        return not stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except OSError:  # not a file of the system
        return True


def _write_raw(data: bytes, stream: TextIO) -> None:
    stream.flush()  # text that was printed before must come before
    stream.buffer.write(data)
    stream.buffer.flush()
