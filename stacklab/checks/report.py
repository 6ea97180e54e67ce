"""Ground of all reports of a run of checks: its counts, its verdict, text that may be shown.

A large lab has 400,000 results, so no report is ever whole in memory: each is made piece by piece.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol, TypedDict

from stacklab.checks.result import CheckResult, CheckStatus, Layer
from stacklab.foreign import printable
from stacklab.model.lab import Lab


class CheckRun(Protocol):
    """A run of the checks, and its results; `started_at` is time.time()."""

    @property
    def lab(self) -> Lab: ...  # noqa: D102
    @property
    def results(self) -> Sequence[CheckResult]: ...  # noqa: D102
    @property
    def started_at(self) -> float: ...  # noqa: D102
    @property
    def elapsed_s(self) -> float: ...  # noqa: D102
    @property
    def is_strict(self) -> bool: ...  # noqa: D102


class Counts(TypedDict):
    """The number of checks of each outcome."""

    total: int
    passed: int
    warned: int
    failed: int
    error: int


def _outcome_counts(by_status: Counter[CheckStatus]) -> Counts:
    """Return the counts by the words that the report has for them."""
    return {
        "total": by_status.total(),
        "passed": by_status[CheckStatus.PASSED],
        "warned": by_status[CheckStatus.WARNED],
        "failed": by_status[CheckStatus.FAILED],
        "error": by_status[CheckStatus.ERROR],
    }


def summary(results: Iterable[CheckResult]) -> Counts:
    """Count the outcomes."""
    return _outcome_counts(Counter(result.status for result in results))


def by_layer(results: Iterable[CheckResult]) -> dict[Layer, Counts]:
    """Count the outcomes of each layer that has checks, in the order of the layers."""
    by_status: dict[Layer, Counter[CheckStatus]] = {layer: Counter() for layer in Layer}
    for result in results:
        by_status[result.check.kind.layer][result.status] += 1
    return {layer: _outcome_counts(counts) for layer, counts in by_status.items() if counts}


def verdict(counts: Counts) -> CheckStatus:
    """Return how a run came out as a whole, as the exit code tells it.

    A failure says more than an error: that check had no answer.
    """
    if counts["failed"]:
        return CheckStatus.FAILED
    if counts["error"]:
        return CheckStatus.ERROR
    if counts["warned"]:
        return CheckStatus.WARNED
    return CheckStatus.PASSED


def stamp(at: float, form: str = "%Y-%m-%dT%H:%M:%SZ") -> str:
    """Write a time in UTC."""
    return time.strftime(form, time.gmtime(at))


def clean(text: str) -> str:
    """Return what a node wrote as a terminal and any document may hold it."""
    return printable(text, indent="")
