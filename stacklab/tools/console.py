"""Reader of a machine's serial console log, as text that is safe to show on a terminal."""

from __future__ import annotations

import os
from pathlib import Path

from stacklab.foreign import printable

_LINES = 15
_TAIL_BYTES = 16384


def tail(console: Path, lines: int = _LINES, *, start: int = 0) -> tuple[str, ...]:
    """Return the last lines of a console log from byte `start` on: printable, no blank ones."""
    try:
        with console.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            begin = start if start <= size else 0  # else the log was replaced by a new one
            stream.seek(max(begin, size - _TAIL_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except OSError as error:
        return (f"(can't be read: {error})",)
    # A terminal would widen a tab, and a table of ours would lose its shape.
    shown = printable(text, indent="").replace("\t", " ")
    written = [line for line in shown.split("\n") if line.strip()]
    return tuple(written[-lines:])
