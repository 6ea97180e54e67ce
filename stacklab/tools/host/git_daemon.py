"""git daemon: serves a directory of repositories, read-only, at one address of this host.

It outlives the command that starts it; the path of its pid file is its mark (see outliving.py).
"""

from __future__ import annotations

import socket
import time
from pathlib import Path

from stacklab.errors import HostError
from stacklab.process.command import Command, Runner
from stacklab.tools.host import outliving

PORT = 9418  # git's own
_PATIENCE_S = 5.0
_POLL_S = 0.05


def start(runner: Runner, directory: Path, mark: Path, *, address: str, port: int = PORT) -> None:
    """Serve the directory, unless that is done already; raises HostError where it can't be."""
    words = _words(directory, mark, address, port)
    running = find(mark)
    if any(outliving.arguments(process)[-len(words) :] == words for process in running):
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
    return outliving.find("git", _mark_argument(mark))


def end(mark: Path) -> None:
    """End the daemon with that mark and all that it has started; there may be none."""
    outliving.end("git", _mark_argument(mark))
    mark.unlink(missing_ok=True)


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


def _answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True
