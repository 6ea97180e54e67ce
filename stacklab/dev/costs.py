"""What benches that measure in rounds have in common: seconds of each round, medians, ratios.

A new row is one call of `Costs.timed` or `Costs.add` where it is measured.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from stacklab.codec import JSON

Row = tuple[str, str, str, str, str, str]

HEADER = ("what", "median s", "least", "most", "ratio", "wanted")
_T = TypeVar("_T")


@dataclass(slots=True, kw_only=True)
class MeasuredRow:
    """How long something took, in each round."""

    what: str
    base: str = ""  # of which row the ratio is; "" for none
    wanted: str = ""
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Return the median of all rounds, in seconds."""
        return statistics.median(self.seconds)


class Costs:
    """Rows in the order in which they were first measured."""

    def __init__(self) -> None:
        self._costs: dict[str, MeasuredRow] = {}

    def add(self, what: str, seconds: float, *, base: str = "", wanted: str = "") -> None:
        """Add what a round has measured; the first call for a row makes it."""
        cost = self._costs.setdefault(what, MeasuredRow(what=what, base=base, wanted=wanted))
        cost.seconds.append(seconds)

    def timed(self, what: str, work: Callable[[], _T], *, base: str = "", wanted: str = "") -> _T:
        """Do the work, and add how long it took; what fails is not added."""
        started = time.monotonic()
        result = work()
        self.add(what, time.monotonic() - started, base=base, wanted=wanted)
        return result

    def rows(self) -> Sequence[Row]:
        """Return the table's rows, see HEADER; a row that was measured once has no range."""
        return [self._row(cost) for cost in self._costs.values()]

    def as_dicts(self) -> list[dict[str, JSON]]:
        """Return a dict for each row, for programs: the seconds of each round, median and ratio."""
        return [self._as_dict(cost) for cost in self._costs.values()]

    def _ratio(self, cost: MeasuredRow) -> float | None:
        """Return how many times its base a row took; None without a base that was measured."""
        base = self._costs.get(cost.base)
        return cost.median / base.median if base is not None and base.median > 0 else None

    def _row(self, cost: MeasuredRow) -> Row:
        ratio = self._ratio(cost)
        is_once = len(cost.seconds) == 1
        return (
            cost.what,
            f"{cost.median:.2f}",
            "" if is_once else f"{min(cost.seconds):.2f}",
            "" if is_once else f"{max(cost.seconds):.2f}",
            "" if ratio is None else f"{ratio:.2f}",
            cost.wanted,
        )

    def _as_dict(self, cost: MeasuredRow) -> dict[str, JSON]:
        return {
            "what": cost.what,
            "seconds": list(cost.seconds),
            "median_s": cost.median,
            "base": cost.base,
            "ratio": self._ratio(cost),
            "wanted": cost.wanted,
        }
