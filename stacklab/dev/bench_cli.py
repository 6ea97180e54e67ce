"""`bench.cli`: compare the start of quick commands with a bare `import invoke`.

Never fails a test. The commands take turns, so that other work of the machine slows all of
them alike; the medians are compared.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stacklab.errors import LabError
from stacklab.paths.project import PROJECT

Row = tuple[str, str, str, str]
Argv = tuple[str, ...]

MOST_RATIO = 2.2
BARE = "import invoke"

_INVOKE = (sys.executable, str(Path(sys.executable).with_name("invoke")))  # as ./invoke calls it
COMMANDS: Mapping[str, Argv] = {
    BARE: (sys.executable, "-c", "import invoke"),
    "-l": (*_INVOKE, "-l"),
    "--help lab.up": (*_INVOKE, "--help", "lab.up"),
    "lab.list": (*_INVOKE, "lab.list"),
    "lab.status": (*_INVOKE, "lab.status"),
    "TAB: tasks": (*_INVOKE, "--complete", "--", "invoke", "lab."),
    "TAB: labs": (*_INVOKE, "--complete", "--", "invoke", "lab.up", "con"),
    "TAB: images": (*_INVOKE, "--complete", "--", "invoke", "image.build", ""),
    "./invoke -l": (str(PROJECT / "invoke"), "-l"),
}
# The wrapper looks for each program that stacklab needs, and at the venv's stamp.
_WITHOUT_GOAL = (BARE, "./invoke -l")


def measure(*, rounds: int, time_of: Callable[[Argv, str], float] | None = None) -> tuple[Row, ...]:
    """Return rows of (command, seconds, times `import invoke`, what is wanted)."""
    if rounds < 1:
        raise LabError(f"--rounds {rounds} measures nothing", hint="./invoke bench.cli --rounds 15")
    time_command = time_of or _time_of
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory(prefix="stacklab-bench-") as home:
        for round_number in range(rounds + 1):
            for name, argv in COMMANDS.items():
                elapsed_s = time_command(argv, home)
                if round_number > 0:  # the first round fills the caches of the file system
                    seconds[name].append(elapsed_s)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    return _rows(medians)


def _rows(medians: Mapping[str, float]) -> tuple[Row, ...]:
    rows = []
    for name, median in medians.items():
        ratio = f"{median / medians[BARE]:.2f}"
        wanted = "" if name in _WITHOUT_GOAL else f"<= {MOST_RATIO}"
        rows.append((name, f"{median:.3f}", ratio, wanted))
    return tuple(rows)


def _time_of(argv: Sequence[str], home: str) -> float:
    """Return how long a command takes, with a home in which no lab is on record."""
    environment = {**os.environ, "STACKLAB_HOME": home, "STACKLAB_NO_INSTALL": "1"}
    started = time.perf_counter()
    done = subprocess.run(
        argv,
        cwd=PROJECT,
        env=environment,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    elapsed_s = time.perf_counter() - started
    if done.returncode != 0:
        words = " ".join(argv)
        raise LabError(
            f"{words} ended with {done.returncode}\n{done.stderr.strip()}",
            hint="./invoke -l, then ./invoke bench.cli again",
        )
    return elapsed_s
