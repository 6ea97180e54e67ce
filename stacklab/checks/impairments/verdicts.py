"""Declared delay, loss and rate, held against what a node measured."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stacklab.checks import answers
from stacklab.checks.impairments.measuring import (
    ODDS,
    PING,
    RATE,
    SHOW,
    impairment_of,
    loss_of,
    ping_line,
    ping_plan,
    round_trip_ms,
)
from stacklab.checks.result import Check, CheckKind, CheckResult, Reason, Verdict
from stacklab.model.lab import NO_IMPAIRMENT, Impairment, Lab
from stacklab.nodes.protocol import NOT_FOUND, Answer
from stacklab.tools.network import tc

MOST_MS_LATE, MOST_SHARE_LATE = 5.0, 0.10  # what an emulated CPU adds to a round trip
MOST_MS_EARLY, MOST_SHARE_EARLY = 0.3, 0.02
LEAST_RATE, MOST_RATE = 0.7, 1.15

# `10.0.0.2 : xmt/rcv/%loss = 20/19/5%, min/avg/max = 40.1/40.5/41.0`; with duplicates it is
# `%return`, of over 100 %.
_COUNTED = re.compile(
    r"(?P<target>\S{1,64})\s+: xmt/rcv/%(?:loss|return) = "
    r"(?P<sent>\d{1,9})/(?P<received>\d{1,9})/\d+%"
    r"(?:, min/avg/max = (?P<least>\d{1,9}(?:\.\d{1,9})?)/\S+)?",
    re.ASCII,
)
Netems = Mapping[str, Impairment] | None  # of a node, by device; None: tc did not tell


@dataclass(frozen=True, slots=True, kw_only=True)
class PingCount:
    """The outcome of a number of pings to one address."""

    sent: int
    received: int
    least_ms: float | None
    line: str


def read_counts(lines: Sequence[str]) -> dict[str, PingCount]:
    """Read the lines of `fping -q -c`; any other line is passed over."""
    counts = {}
    for line in map(str.strip, lines):
        match = _COUNTED.fullmatch(line)
        if match is None:
            continue
        least = match["least"]
        counts[match["target"]] = PingCount(
            sent=int(match["sent"]),
            received=int(match["received"]),
            least_ms=float(least) if least else None,
            line=line,
        )
    return counts


def judge(lab: Lab, checks: Sequence[Check], answer: Answer) -> Iterator[CheckResult]:
    """Judge the checks of one node."""
    pings = read_counts(answer.of(PING).lines)
    netems: Netems = None
    if answer.of(SHOW).code == 0:
        netems = tc.parse("\n".join(answer.of(SHOW).lines))
    for check in checks:
        ping = pings.get(check.address)
        if check.kind is CheckKind.RATE:
            verdict = _judge_rate(lab, check, answer, netems)
            output = answer.of(RATE).text
        elif ping is None or not ping.sent:
            verdict = _without_pings(check, answer)
            output = answer.of(PING).text
        else:
            judge_pings = _judge_delay if check.kind is CheckKind.DELAY else _judge_loss
            verdict = judge_pings(lab, check, ping, netems)
            output = ping.line
        yield verdict.of(check, command=_command_line(lab, check), output=output)


def _without_pings(check: Check, answer: Answer) -> Verdict:
    """Return why fping counted nothing for a check."""
    if answer.of(PING).code == NOT_FOUND:
        return answers.not_installed("fping", check.node)
    no_result = Verdict.error(Reason.PROGRAM_FAILED, "fping gave no result", about="fping")
    return answers.missing(answer, PING) or no_result


def _command_line(lab: Lab, check: Check) -> str:
    """Return what to type on the node to measure once more."""
    if check.kind is CheckKind.RATE:
        return f"tc -s qdisc show dev {check.device}"
    plan = ping_plan([nic for _, nic in lab.members(check.network)])
    return ping_line(plan, [check.address])


def _both_impairments(lab: Lab, check: Check) -> tuple[Impairment, Impairment]:
    """Return what is declared of the NICs at both ends."""
    ours = impairment_of(lab, check)
    their_nic = lab.node(check.target).nic_on(check.network)
    if their_nic is None:
        return ours, NO_IMPAIRMENT
    return ours, their_nic.impairment


def _wrong_netem(lab: Lab, check: Check, netems: Netems) -> str:
    """Say how the node's own NIC differs from what is declared; "" if it does not."""
    if netems is None:
        return ""
    on_node = netems.get(check.device)
    if tc.is_same(impairment_of(lab, check), on_node):
        return ""
    repair = f"./invoke lab.up {lab.name} puts it right"
    return f"; {check.device} has {tc.words(on_node)}, {repair}"


def _judge_by_netem(lab: Lab, check: Check, netems: Netems, reason: Reason, detail: str) -> Verdict:
    """Let tc decide where the measurement alone could not tell the declared from nothing."""
    wrong = _wrong_netem(lab, check, netems)
    if wrong:
        return Verdict.failed(reason, detail + wrong)
    if netems is None:
        why = "which is too little to tell, and tc does not tell either"
        return Verdict.error(Reason.NO_ANSWER, f"{detail}, {why}")
    return Verdict.passed(f"{detail}, which alone can't tell; tc says so")


def _judge_delay(lab: Lab, check: Check, ping: PingCount, netems: Netems) -> Verdict:
    """Judge the fastest round trip: only that one had no queue on its way."""
    declared = round_trip_ms(*_both_impairments(lab, check))
    wrong = _wrong_netem(lab, check, netems)
    if ping.least_ms is None:
        return Verdict.failed(Reason.NO_REPLY, f"no reply to {ping.sent} pings{wrong}")
    least = declared - max(MOST_MS_EARLY, declared * MOST_SHARE_EARLY)
    most = declared + max(MOST_MS_LATE, declared * MOST_SHARE_LATE)
    detail = f"{ping.least_ms:.1f} ms there and back, {declared:.3g} ms declared"
    if not least <= ping.least_ms <= most:
        return Verdict.failed(Reason.WRONG_DELAY, detail + wrong)
    if declared <= MOST_MS_LATE:  # a node that is only slow would pass as well
        return _judge_by_netem(lab, check, netems, Reason.WRONG_DELAY, detail)
    return Verdict.passed(detail)


def _judge_loss(lab: Lab, check: Check, ping: PingCount, netems: Netems) -> Verdict:
    """Judge the number of lost pings by the odds of it."""
    share = loss_of(*_both_impairments(lab, check))
    sent, lost = ping.sent, max(0, ping.sent - ping.received)
    detail = f"{lost} of {sent} pings lost, {share * 100:.3g} % declared"
    least, most = loss_bounds(sent, share)
    if not least <= lost <= most:
        wrong = _wrong_netem(lab, check, netems)
        return Verdict.failed(Reason.WRONG_LOSS, f"{detail} ({least} to {most} would do){wrong}")
    if least == 0:  # a way that loses nothing would pass as well
        return _judge_by_netem(lab, check, netems, Reason.WRONG_LOSS, detail)
    return Verdict.passed(detail)


def loss_bounds(sent: int, share: float) -> tuple[int, int]:
    """Return how few and how many of so many pings may be lost.

    A right loss is outside of this with odds under ODDS to each side.
    """
    if share >= 1:
        return sent, sent
    log_lost = math.log(share)
    log_received = math.log1p(-share)

    def odds_of(lost: int) -> float:
        # The binomial distribution, in logarithms: its factors are beyond any float.
        received = sent - lost
        ways = math.lgamma(sent + 1) - math.lgamma(lost + 1) - math.lgamma(received + 1)
        return math.exp(ways + lost * log_lost + received * log_received)

    # From each end inwards, until what is outside has the odds of a chance that counts.
    least, below = 0, odds_of(0)
    while below < ODDS:
        least += 1
        below += odds_of(least)
    most, above = sent, odds_of(sent)
    while above < ODDS:
        most -= 1
        above += odds_of(most)
    return least, most


def _judge_rate(lab: Lab, check: Check, answer: Answer, netems: Netems) -> Verdict:
    """Judge what left the NIC while it was offered more than the declared rate."""
    measured = _measured_rates(check, answer.of(RATE).lines)
    if measured is None:
        return _without_rates(check, answer)
    left, offered = measured
    declared = impairment_of(lab, check)
    rate = declared.rate_kbit
    detail = f"{tc.rate_words(left)} leave it, {tc.rate_words(rate)} declared"
    wrong = _wrong_netem(lab, check, netems)
    is_too_fast = left > rate * MOST_RATE
    # Was the NIC offered enough to put its limit to the test?
    is_tested = offered * (1 - declared.loss_percent / 100) >= rate * MOST_RATE
    if is_too_fast or (wrong and not is_tested):
        return Verdict.failed(Reason.WRONG_RATE, detail + wrong)
    if not is_tested:
        most = f"the node's CPU offers {tc.rate_words(offered)} at most"
        detail = f"{detail}; {most}, so this was not put to the test"
        return Verdict.warned(Reason.NOT_TESTED, detail)
    if left < rate * LEAST_RATE:
        return Verdict.failed(Reason.WRONG_RATE, detail + wrong)
    return Verdict.passed(detail)


def _without_rates(check: Check, answer: Answer) -> Verdict:
    """Return why python3 measured nothing for a check."""
    if answer.of(RATE).code == NOT_FOUND:
        return answers.not_installed("python3", check.node)
    nothing = Verdict.error(Reason.NO_ANSWER, "no answer")
    return answers.missing(answer, RATE) or nothing


def _measured_rates(check: Check, lines: Sequence[str]) -> tuple[float, float] | None:
    """Return the rates that left the NIC and that it was offered, in kbit/s; None if unreadable."""
    own_lines = [line for line in lines if line.startswith(f"{check.device} ")]
    if not own_lines:
        return None
    try:
        sent, gone, took_s, full = map(float, own_lines[0].split()[1:])
        left = gone * 8 / took_s / 1000
        offered = sent * 8 / took_s / 1000
    except (ValueError, ZeroDivisionError):
        return None
    # A NIC whose queue was full was offered as much as it could ever take.
    return left, math.inf if full else offered
