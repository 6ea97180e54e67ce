"""Reader of a machine's serial console log, as text that is safe to show on a terminal."""

from __future__ import annotations

from pathlib import Path

from stacklab.foreign import printable

_LINES = 15
_TAIL_BYTES = 16384


def tail(console: Path, lines: int = _LINES, *, start: int = 0) -> tuple[str, ...]:
    """Return the last lines of a console log from byte `start` on: printable, blank ones left out."""
    try:
        with console.open("rb") as stream:
            size = stream.seek(0, 2)
            begin = start if start <= size else 0  # else the log was replaced by a new one
            stream.seek(max(begin, size - _TAIL_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except OSError as error:
        return (f"(can't be read: {error})",)
    shown = printable(text, indent="").replace("\t", " ")
    return tuple(line for line in shown.split("\n") if line.strip())[-lines:]
