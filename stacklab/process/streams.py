"""Keep a bounded part of a stream of bytes: its beginning, its end, or one line at a time.

The bound is there because a program may write for ever.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import IO

_PIPE_BYTES = 65536  # what a pipe of Linux holds: more would not be taken at once
CUT = b" (cut off here)"  # behind a line of which the rest was dropped


class Beginning:
    """Keeps the first bytes of a stream, and counts the others."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._data = bytearray()
        self.left_out = 0

    def take(self, data: bytes) -> None:
        """Take the next piece of the stream."""
        room = self._most - len(self._data)
        self._data += data[:room]
        self.left_out += max(0, len(data) - room)

    @property
    def text(self) -> str:
        """Return the bytes that were kept, as text."""
        return self._data.decode("utf-8", "replace")

    @property
    def left_out_words(self) -> str:
        """Return a line that says how much was left out; "" if nothing was."""
        if not self.left_out:
            return ""
        return f"({self.left_out} bytes of its output were left out)\n"


class End:
    """Keeps the last bytes of a stream."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._data = b""

    def take(self, data: bytes) -> None:
        """Take the next piece of the stream."""
        self._data = (self._data + data)[-self._most :]

    @property
    def text(self) -> str:
        """Return the bytes that were kept, as text."""
        return self._data.decode("utf-8", "replace")


class LineCutter:
    """Cuts a stream into lines; of a line that is too long the beginning is handed out."""

    def __init__(self, hand_out: Callable[[bytes], None], most: int) -> None:
        self._hand_out = hand_out
        self._most = most
        self._begun = bytearray()
        self._is_cut = False

    def take(self, data: bytes) -> None:
        """Take the next piece of the stream."""
        *whole_lines, rest = data.split(b"\n")
        for line in whole_lines:
            self._add_data(line)
            self._finish_line(b"\n")
        self._add_data(rest)

    def end(self) -> None:
        """Hand out a last line that lacks its newline."""
        if self._begun:
            self._finish_line(b"")

    def _add_data(self, data: bytes) -> None:
        room = max(0, self._most - len(self._begun))
        self._begun += data[:room]
        if len(data) > room:
            self._is_cut = True

    def _finish_line(self, newline: bytes) -> None:
        mark = CUT if self._is_cut else b""
        line = bytes(self._begun) + mark + newline
        # Cleared first: what takes the line may raise, and a stream may still go on then.
        self._begun.clear()
        self._is_cut = False
        self._hand_out(line)


def send_piece(stdin: IO[bytes], unsent: memoryview) -> memoryview:
    """Write what a pipe takes, and return the rest; nothing is left when its reader is gone."""
    try:
        sent = os.write(stdin.fileno(), unsent[:_PIPE_BYTES])
    except BlockingIOError:
        return unsent
    except BrokenPipeError:
        return memoryview(b"")
    return unsent[sent:]
