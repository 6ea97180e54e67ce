"""A lab's time to live: as people type it, and what is left of it."""

from __future__ import annotations

import re

from stacklab.errors import LabError

_SECONDS_PER = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# Nine digits are more than the longest time needs, even in seconds.
_TTL = re.compile(r"([1-9]\d{0,8})([smhd])", re.ASCII)
_LONGEST_TTL_S = 365 * 86400


def ttl_s(text: str | None) -> float | None:
    """Read `90s`, `30m`, `2h` or `1d`; None for None. Raises LabError for anything else."""
    if text is None:
        return None
    seconds = 0
    match = _TTL.fullmatch(text)
    if match:
        number, unit = match.groups()
        seconds = int(number) * _SECONDS_PER[unit]
    if not 0 < seconds <= _LONGEST_TTL_S:
        raise LabError(
            f"--ttl {text!a} is not a time from 1s to 365d",
            hint="--ttl 90s, --ttl 30m, --ttl 2h or --ttl 1d",
        )
    return float(seconds)


def left(expires_at: float | None, now: float) -> str:
    """Return in words what is left of a lab's time: "1 h 58 min left", "ended 5 min ago".

    A lab that may stay for ever has ""."""
    if expires_at is None:
        return ""
    seconds = expires_at - now
    if seconds > 0:
        return f"{_span_in_words(seconds)} left"
    return f"ended {_span_in_words(-seconds)} ago"


def _span_in_words(seconds: float) -> str:
    minutes = int(seconds // 60)
    hours = minutes // 60
    days = hours // 24
    # Up to two days in hours: "30 h" says more than "1 d".
    if days >= 2:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    if minutes:
        return f"{minutes} min"
    return f"{int(seconds)} s"
