"""Processes that outlive the command that starts them: found, and ended, by a mark.

Their mark is a word among their arguments that nothing else has, such as the path of a file of the
lab. So they are found whatever became of a file with their number, which may be another's by now.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from stacklab.errors import HostError

_PROCESSES = Path("/proc")
_PATIENCE_S = 5.0
_POLL_S = 0.05


def find(program: str, mark: str) -> tuple[int, ...]:
    """Return the processes of a program whose name begins so, and that have this argument."""
    found: list[int] = []
    for path in _PROCESSES.iterdir():
        if not path.name.isdigit():
            continue
        words = arguments(int(path.name))
        # Not a program that only looks for them.
        is_program = Path(words[0]).name.startswith(program) if words else False
        if is_program and mark in words:
            found.append(int(path.name))
    return tuple(found)


def end(program: str, mark: str) -> None:
    """End the processes with that mark and all that they have started; there may be none.

    Raises HostError for one that does not end.
    """
    for how in (signal.SIGTERM, signal.SIGKILL):
        if not _kill(program, mark, how):
            return
        deadline = time.monotonic() + _PATIENCE_S
        while find(program, mark) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
    left = find(program, mark)
    if left:
        numbers = " ".join(str(process) for process in left)
        raise HostError(f"{program} does not end: {numbers}", hint=f"sudo kill -9 {numbers}")


def arguments(process: int) -> tuple[str, ...]:
    """Return the arguments of a process; () for one that has ended."""
    try:
        words = (_PROCESSES / str(process) / "cmdline").read_bytes()
    except OSError:
        return ()
    return tuple(os.fsdecode(words).rstrip("\0").split("\0"))


def _kill(program: str, mark: str, how: signal.Signals) -> bool:
    """Send a signal to the groups of the processes; returns whether there was one."""
    processes = find(program, mark)
    for process in processes:
        # Each is the leader of a group, to which its helpers belong.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(os.getpgid(process), how)
    return bool(processes)
