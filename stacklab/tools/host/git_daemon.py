"""git daemon: serves a directory of repositories, read-only, at one address of this host.

It outlives the command that starts it. The path of its pid file is its mark: processes that have it
among their arguments are found, and ended, whatever became of that file.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from pathlib import Path

from stacklab.errors import HostError
from stacklab.process.command import Command, Runner

PORT = 9418  # git's own
_PROCESSES = Path("/proc")
_PATIENCE_S = 5.0
_POLL_S = 0.05


def start(runner: Runner, directory: Path, mark: Path, *, address: str, port: int = PORT) -> None:
    """Serve the directory, unless that is done already; raises HostError where it can't be."""
    words = _words(directory, mark, address, port)
    running = find(mark)
    if any(_arguments(process)[-len(words) :] == words for process in running):
        return
    end(mark)  # one of another directory, or what is left of one
    # Whoever owns the repositories, this user shows them: git asks by whose wish.
    argv = ("git", "-c", "safe.directory=*", "daemon", "--detach", "--reuseaddr", *words)
    runner.run(Command(argv=argv, what=f"serving {directory} by git daemon", timeout_s=30))
    deadline = time.monotonic() + _PATIENCE_S
    while not _answers(address, port):
        if time.monotonic() > deadline or not find(mark):
            end(mark)
            raise HostError(
                f"git daemon does not answer at {address}, port {port}",
                hint=f"ss -ltnp 'sport = :{port}' shows who has the port",
            )
        time.sleep(_POLL_S)


def find(mark: Path) -> tuple[int, ...]:
    """Return the processes of the daemon with that mark, those that answer a node included."""
    wanted = _mark_argument(mark)
    found: list[int] = []
    for path in _PROCESSES.iterdir():
        if not path.name.isdigit():
            continue
        arguments = _arguments(int(path.name))
        # Not a program that only looks for the daemon.
        is_git = Path(arguments[0]).name.startswith("git") if arguments else False
        if is_git and wanted in arguments:
            found.append(int(path.name))
    return tuple(found)


def end(mark: Path) -> None:
    """End the daemon with that mark and all that it has started; there may be none."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        if not _kill(mark, how):
            mark.unlink(missing_ok=True)
            return
        deadline = time.monotonic() + _PATIENCE_S
        while find(mark) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
    left = find(mark)
    if left:
        numbers = " ".join(str(process) for process in left)
        raise HostError(f"git daemon does not end: {numbers}", hint=f"sudo kill -9 {numbers}")
    mark.unlink(missing_ok=True)


def _kill(mark: Path, how: signal.Signals) -> bool:
    """Send a signal to the daemon's process groups; returns whether there was one."""
    processes = find(mark)
    for process in processes:
        # The daemon is the leader of a group, to which its helpers belong.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(os.getpgid(process), how)
    return bool(processes)


def _words(directory: Path, mark: Path, address: str, port: int) -> tuple[str, ...]:
    return (
        "--export-all",
        f"--base-path={directory}",
        f"--listen={address}",
        f"--port={port}",
        "--forbid-override=receive-pack",
        _mark_argument(mark),
    )


def _mark_argument(mark: Path) -> str:
    return f"--pid-file={mark}"


def _arguments(process: int) -> tuple[str, ...]:
    try:
        words = (_PROCESSES / str(process) / "cmdline").read_bytes()
    except OSError:
        return ()  # it has ended
    return tuple(os.fsdecode(words).rstrip("\0").split("\0"))


def _answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True
