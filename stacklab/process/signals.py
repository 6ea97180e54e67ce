"""Send signals to processes, and name those that ended one."""

from __future__ import annotations

import os
import signal
import subprocess


def send(process: subprocess.Popen[bytes], number: signal.Signals, *, group: bool) -> None:
    """Signal a process that we started, or its whole group."""
    if not group:
        process.send_signal(number)
        return
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
    except PermissionError:  # a child of sudo: only root may signal it
        name = number.name.removeprefix("SIG")
        argv = ("sudo", "-n", "kill", f"-{name}", "--", f"-{process.pid}")
        subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, capture_output=True)


def ending(code: int) -> str:
    """Return in words how a process ended, by its exit code."""
    if code >= 0:
        return f"ended with {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:  # most real-time signals lack a name
        return f"was ended by signal {-code}"
