"""Reader of a machine's serial console log, as text that is safe to show on a terminal."""

from __future__ import annotations

import re
from pathlib import Path

_LINES = 15
_TAIL_BYTES = 16384
# Escape sequences by ECMA-48: CSI ... final byte; OSC ... BEL or ST, by which systemd 257 marks
# its units; and others of two or three bytes.
_ESCAPE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(\x07|\x1b\\)?|[ -/]+[0-~]|.)")


def tail(console: Path, lines: int = _LINES, *, start: int = 0) -> tuple[str, ...]:
    """Return the last lines of a console log after byte `start`, without escape sequences."""
    try:
        with console.open("rb") as stream:
            size = stream.seek(0, 2)
            if start > size:  # the log was replaced by a new one
                start = 0
            stream.seek(max(start, size - _TAIL_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except OSError as error:
        return (f"(can't be read: {error})",)
    text = _ESCAPE.sub("", text.replace("\r", "\n"))
    text = "".join(char for char in text if char.isprintable() or char == "\n")
    return tuple(line for line in text.splitlines() if line.strip())[-lines:]
