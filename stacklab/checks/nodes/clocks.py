"""The nodes' clocks, compared with each other by way of the host's."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence

from stacklab.checks.result import Check, CheckResult, Reason, Verdict
from stacklab.nodes.protocol import Answer, Part, Phase, Said

MOST_SKEW_S = 0.5
# After the other FACTS: a cold node has read from its disk by now what this needs.
CLOCK = Part(tag="nodes.clock", shell="date +%s.%N", phase=Phase.FACTS)
# Once more when no session begins any more: a busy host hears a line up to a second late.
LATER = Part(tag="nodes.clock.later", shell="sleep 0.6; date +%s.%N", phase=Phase.PINGS)


def seconds(word: str) -> float | None:
    """Return a finite number of seconds; None for anything else."""
    try:
        number = float(word)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def offset_s(answer: Answer, delay_ms: float = 0.0) -> float | None:
    """Return how far a node's clock is ahead of the host's, in seconds; None if it was not read.

    `delay_ms` is what the NIC to the host holds back. A line's way to the host makes the
    clock seem late and never early, so of several readings the largest counts.
    """
    offsets: list[float] = []
    for part in (CLOCK, LATER):
        ahead_s = _ahead_of_host_s(answer.of(part.tag))
        if ahead_s is not None:
            offsets.append(ahead_s + delay_ms / 1000)
    return max(offsets, default=None)


def _ahead_of_host_s(said: Said) -> float | None:
    """Return how far one reading is ahead of the time at which it came; None if unreadable."""
    if not said.lines:
        return None
    now = seconds(said.lines[0])
    if now is None:
        return None
    return now - said.heard_at


def judge(checks: Sequence[Check], offsets: Mapping[str, float]) -> Iterator[CheckResult]:
    """Compare the nodes' clocks, each by its offset from the host's.

    Of two clocks that differ too much, the one farther from the middle of all is wrong; the
    host's counts as one of them. So each such pair has a failure, and a node that agrees
    with most does not fail because of the others.
    """
    wrong = _wrong_clocks(offsets)
    for check in checks:
        verdict = _judge_clock(check.node, offsets, wrong)
        yield verdict.of(check, command=CLOCK.shell)


def _judge_clock(node: str, offsets: Mapping[str, float], wrong: Mapping[str, str]) -> Verdict:
    """Judge one node's clock; `wrong` has all nodes whose clocks are, as `_wrong_clocks` does."""
    offset = offsets.get(node)
    if offset is None:
        return Verdict.error(Reason.NO_ANSWER, "its clock was not read")
    if node in wrong:
        other = wrong[node]
        difference = _difference_text(offset, offsets[other], f"{other}'s")
        return Verdict.failed(Reason.CLOCK_OFF, f"{difference}: lab.up sets it")
    if len(offsets) > 1:
        agreeing = [other for name, other in offsets.items() if name not in wrong]
        skew = max(abs(offset - other) for other in agreeing)
        return Verdict.passed(f"within {skew:.2f} s of the others'")
    if abs(offset) < MOST_SKEW_S:
        return Verdict.passed(f"within {abs(offset):.2f} s of the host's")
    # No other node was asked, and the host's clock itself may be wrong.
    return Verdict.warned(Reason.CLOCK_OFF, _difference_text(offset, 0.0, "the host's"))


def _wrong_clocks(offsets: Mapping[str, float]) -> dict[str, str]:
    """Return the nodes whose clocks are wrong, each with the node that shows it best."""
    middle = statistics.median([*offsets.values(), 0.0])  # 0: the host's own clock
    wrong: dict[str, str] = {}
    for name, mine in offsets.items():
        differences: dict[str, float] = {}  # from clocks nearer to the middle
        for other, theirs in offsets.items():
            difference = abs(mine - theirs)
            is_nearer = abs(theirs - middle) <= abs(mine - middle)
            if difference >= MOST_SKEW_S and is_nearer:
                differences[other] = difference
        if differences:
            wrong[name] = max(differences, key=differences.__getitem__)
    return wrong


def _difference_text(mine: float, theirs: float, whose: str) -> str:
    """Write how far a clock is off: `2.0 s behind compute1's`."""
    skew = mine - theirs
    side = "ahead of" if skew > 0 else "behind"
    return f"{abs(skew):.1f} s {side} {whose}"
