"""How often, or for how long, checks that do not pass are tried again."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """The number of tries, or the time, that checks which do not pass are given."""

    interval_s: float
    tries: int = 0  # 0: until the deadline
    deadline: float | None = None  # time.monotonic()

    @classmethod
    def for_seconds(cls, seconds: float, *, interval_s: float) -> Patience:
        """Return the patience that lasts for so many seconds from now."""
        return cls(interval_s=interval_s, deadline=time.monotonic() + seconds)

    def left(self, attempt: int) -> float:
        """Return how many tries, or seconds, are left after that attempt."""
        if self.deadline is None:
            return self.tries - attempt
        return self.deadline - time.monotonic()

    def pause_s(self, attempt: int) -> float:
        """Return how long to wait: the last try comes when the time is over, not before."""
        if self.deadline is None:
            return self.interval_s
        return min(self.interval_s, self.left(attempt))
