"""A runner of real programs, and what tests want to know of them."""

from __future__ import annotations

import time
from pathlib import Path

from stacklab.process import Command, SubprocessRunner

RUNNER = SubprocessRunner()


def sh(script: str, **options: object) -> Command:
    return Command(argv=("sh", "-c", script), **options)  # type: ignore[arg-type]


def pid_in(path: Path) -> int:
    deadline = time.monotonic() + 30
    while not (path.exists() and path.read_text().strip()):
        assert time.monotonic() < deadline, f"{path} was never written"
        time.sleep(0.01)
    return int(path.read_text())


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def assert_gone(pid: int) -> None:
    deadline = time.monotonic() + 20  # they would run for 60 s
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(pid)


class Heard:
    """What a conversation brought, line by line."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, float]] = []

    def __call__(self, line: str, at: float) -> None:
        self.lines.append((line, at))

    @property
    def texts(self) -> list[str]:
        return [line for line, _ in self.lines]
