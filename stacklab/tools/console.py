"""What a machine wrote to its serial console, as text that a terminal may be shown."""

from __future__ import annotations

import re
from pathlib import Path

_LINES = 15
# ECMA-48: CSI ... final; OSC ... BEL or ST (systemd 257 marks its units so); others of two or three bytes
_ESCAPE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(\x07|\x1b\\)?|[ -/]+[0-~]|.)")


def tail(console: Path, lines: int = _LINES, *, start: int = 0) -> tuple[str, ...]:
    """The last lines that a console log has to say from byte `start` on, without escapes and blank lines."""
    try:
        with console.open("rb") as stream:
            size = stream.seek(0, 2)
            begin = start if start <= size else 0  # it was made anew
            stream.seek(max(begin, size - 16384))
            text = stream.read().decode("utf-8", "replace")
    except OSError as error:
        return (f"(can't be read: {error})",)
    clean = "".join(c for c in _without_escapes(text) if c.isprintable() or c == "\n")
    return tuple(line for line in clean.splitlines() if line.strip())[-lines:]


def _without_escapes(text: str) -> str:
    return _ESCAPE.sub("", text.replace("\r", "\n"))
