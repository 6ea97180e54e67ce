"""What benches that bring a lab up have in common."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from stacklab import record
from stacklab.errors import LabError
from stacklab.model.lab import Lab
from stacklab.paths import HostPaths
from stacklab.workflow.context import Context


def bench_log(host: HostPaths) -> Path:
    """Return the file with the output of the programs that a bench runs."""
    return host.logs / "bench.log"


def refuse_if_up(context: Context, lab: Lab) -> None:
    """Raise LabError if the lab is up: a bench makes it anew, and destroys it."""
    if record.read(context.host.lab(lab.name)) is not None:
        raise LabError(
            f"lab {lab.name} is up: the bench would end it", hint=f"./invoke lab.destroy {lab.name}"
        )


def seconds(work: Callable[[], object]) -> float:
    """Return how many seconds the work took."""
    started = time.monotonic()
    work()
    return time.monotonic() - started
