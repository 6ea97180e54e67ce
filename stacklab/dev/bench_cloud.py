"""`bench.cloud`: how long a lab's cloud takes, from nothing to its proof. Never fails a test.

The image is there before the clock starts. Ratios are to the time that the nodes alone take, in
the same run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stacklab.dev.cycles import refuse_if_up, seconds
from stacklab.model.lab import Lab, NodeKind
from stacklab.workflow import base_image as base
from stacklab.workflow.context import Context

Row = tuple[str, str, str, str]

_IDLE_S = 60.0
_SETTLE_S = 20.0  # what follows a start: first reports, caches


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudCycle:
    """What a user does with the lab, as functions: the bench knows no workflow itself."""

    bring_up: Callable[[], object]  # nodes alone, without checks
    install: Callable[[], object]
    check: Callable[[], object]
    prove: Callable[[], object]
    destroy: Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    services: str
    proof: str


_WANTED = {
    NodeKind.VM: _Wanted(services="at most 600", proof="at most 300"),
    NodeKind.CONTAINER: _Wanted(services="at most 180", proof="at most 90"),
}


def measure(
    context: Context, lab: Lab, cycle: CloudCycle, sleep: Callable[[float], None] = time.sleep
) -> tuple[Row, ...]:
    """Return rows of (what, seconds, ratio, what is wanted); leaves nothing behind."""
    refuse_if_up(context, lab)
    context.prepare_root()
    base.choose(context, lab)
    wanted = _WANTED[lab.controller.kind]
    try:
        nodes_s = seconds(cycle.bring_up)
        services_s = nodes_s + seconds(cycle.install)
        checks_s = services_s + seconds(cycle.check)
        proof_s = seconds(cycle.prove)
        sleep(_SETTLE_S)
        share = _busy_share(sleep)
    finally:
        destroy_s = seconds(cycle.destroy)

    def row(what: str, took_s: float, wished: str = "") -> Row:
        return (what, f"{took_s:.1f}", f"{took_s / nodes_s:.2f}", wished)

    return (
        row(f"{len(lab.nodes)} nodes, until they answer", nodes_s),
        row("until all services answer", services_s, wanted.services),
        row("until all checks passed", checks_s),
        row("cloud.smoke", proof_s, wanted.proof),
        row("lab.destroy", destroy_s),
        (f"cores of this host that were busy in {_IDLE_S:.0f} s", f"{share:.2f}", "", "0.25"),
    )


def _busy_share(sleep: Callable[[float], None], stat: Path = Path("/proc/stat")) -> float:
    """Return how many cores the whole host kept busy, other programs included."""
    busy, whole = _cpu_ticks(stat)
    sleep(_IDLE_S)
    busy_later, whole_later = _cpu_ticks(stat)
    cores = sum(line.startswith("cpu") for line in stat.read_text().splitlines()) - 1
    return cores * (busy_later - busy) / max(1, whole_later - whole)


def _cpu_ticks(stat: Path) -> tuple[int, int]:
    """Return the ticks that all cores were busy, and all ticks; see proc(5)."""
    user, nice, system, idle, iowait, *rest = map(int, stat.read_text().split()[1:9])
    busy = user + nice + system + sum(rest)
    return busy, busy + idle + iowait
