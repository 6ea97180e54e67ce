"""fping: the line to run on a node, and what its answer means."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

COUNT = 3
# An interval under 10 ms and a period under 100 ms are refused to users other than root by older fpings.
_INTERVAL_MS = 10
_PERIOD_MS = 200
_TIMEOUT_MS = 2000  # an emulated node under load answers late, not never

# `10.0.0.2 : 0.18 - 0.01`; a duplicate reply's line ("10.0.0.2 : duplicate for [0], ...") does not match.
_LINE = re.compile(r"(?P<target>\S{1,255})\s+:(?P<replies>(?:[ \t]+(?:-|\d{1,9}(?:\.\d{1,9})?))+)[ \t]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """What one target answered: a round trip in ms per packet, None where it was lost."""

    target: str
    rtts_ms: tuple[float | None, ...]

    @property
    def sent(self) -> int:
        """How many packets went out."""
        return len(self.rtts_ms)

    @property
    def received(self) -> int:
        """How many came back."""
        return sum(rtt is not None for rtt in self.rtts_ms)

    @property
    def worst_ms(self) -> float | None:
        """The slowest round trip; None when nothing came back."""
        return max((rtt for rtt in self.rtts_ms if rtt is not None), default=None)


def shell_line(addresses: Sequence[str], *, count: int = COUNT) -> str:
    """One fping to all of them; it answers on stderr."""
    options = f"-q -C {count} -i {_INTERVAL_MS} -p {_PERIOD_MS} -t {_TIMEOUT_MS}"
    return f"fping {options} {shlex.join(addresses)}"


def parse(text: str) -> dict[str, Ping]:
    """Read the lines of `fping -q -C`; whatever is no such line is passed over.

    A name that does not resolve gets no line, so it is absent. A target that was
    given twice gets two lines, which are put together.
    """
    replies: dict[str, tuple[float | None, ...]] = {}
    for line in text.splitlines():
        if match := _LINE.fullmatch(line.strip()):
            rtts = tuple(None if word == "-" else float(word) for word in match["replies"].split())
            replies[match["target"]] = replies.get(match["target"], ()) + rtts
    return {target: Ping(target=target, rtts_ms=rtts) for target, rtts in replies.items()}
