"""The cost of a check, as `bench.check` measures it."""

from __future__ import annotations

from dataclasses import dataclass

NETWORKS = 2  # that every simulated node is on


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckCost:
    """The cost of one size: seconds, peak of memory, and the number of checks and sessions."""

    nodes: int
    checks: int
    sessions: int
    elapsed_s: float
    cpu_s: float
    peak_mib: float
