"""Checks of layer `impairments`: declared delay, loss and rate are there, measured by who sends.

An impairment is a NIC's, so on a network of many each node tries its next few
neighbours: every NIC is measured both ways, and the work stays linear. Where a
number of pings could not tell the declared from nothing, `tc` on the node decides.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stacklab.checks.family import Facts
from stacklab.checks.result import Check, CheckKind, CheckResult, CheckStatus
from stacklab.model.lab import NIC, NO_IMPAIRMENT, Impairment, Lab, Node
from stacklab.nodes.protocol import NOT_FOUND, Answer, Part, Phase
from stacklab.tools import tc

MOST_PEERS = 4
ODDS = 1e-3  # of calling a right loss wrong, to each side; what fails is tried again
MOST_MS_LATE, MOST_SHARE_LATE = 5.0, 0.10  # what an emulated CPU adds to a round trip
MOST_MS_EARLY, MOST_SHARE_EARLY = 0.3, 0.02
LEAST_RATE, MOST_RATE = 0.7, 1.15

_PINGS_MS = 5000.0  # for all the pings of a pair
_PINGS_MIN, _PINGS_MAX = 20, 1000
_FASTEST_MS = 5.0
_FRAME = 98  # bytes of a ping with its headers
_HEADERS = 42  # Ethernet, IP and UDP
_SURVIVORS_MIN = 0.05  # less than that comes back: no round trip to speak of
_RATE_WINDOW_S, _RATE_TRIES = 1.0, 3
_OFFERED = 1.3  # of the declared rate
_SHOW, _PING, _RATE = "impairments.tc", "impairments.ping", "impairments.rate"

# `10.0.0.2 : xmt/rcv/%loss = 20/19/5%, min/avg/max = 40.1/40.5/41.0`; with duplicates `%return` over 100 %.
_COUNTED = re.compile(
    r"(?P<target>\S{1,64})\s+: xmt/rcv/%(?:loss|return) = (?P<sent>\d{1,9})/(?P<received>\d{1,9})/\d+%"
    r"(?:, min/avg/max = (?P<least>\d{1,9}(?:\.\d{1,9})?)/\S+)?",
    re.ASCII,
)
# Sends datagrams somewhat faster than declared and reads how many bytes the NIC has let out meanwhile.
# Unconnected: port 9 is closed, and its refusals must not end this. For any python3.
_TRAIN = f"""\
import socket, sys, time
def count(device):
    with open("/sys/class/net/%s/statistics/tx_bytes" % device) as stream:
        return int(stream.read())
def train(device, address, frame, rate, warm):
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.setblocking(False)
    data, sent, full, begun = b"x" * (frame - {_HEADERS}), 0, 0, None
    start = now = time.monotonic()
    while begun is None or now < begun[0] + {_RATE_WINDOW_S}:
        if begun is None and now >= start + warm:
            begun = now, count(device), sent
        for _ in range(int(((now - start) * rate - sent) / frame)):
            try:
                sent += link.sendto(data, (address, 9)) + {_HEADERS}
            except OSError:
                full += 1
                break
            if time.monotonic() > start + warm + {_RATE_WINDOW_S}:
                break
        time.sleep(0.003)
        now = time.monotonic()
    link.close()
    return sent - begun[2], count(device) - begun[1], now - begun[0], full
for words in sys.argv[1:]:
    device, address, frame, rate, warm = words.split(",")
    for _ in range({_RATE_TRIES}):
        sent, gone, took, full = train(device, address, int(frame), float(rate), float(warm))
        if full or sent > 0.9 * float(rate) * took:
            break
    print("%s %d %d %.3f %d" % (device, sent, gone, took, full))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many pings go to each peer of a network, and how far apart."""

    count: int
    period_ms: float
    timeout_ms: int


def expected(lab: Lab) -> Iterator[Check]:
    """See Family.expected."""
    for network in lab.networks:
        members = lab.members(network.name)
        if not any(nic.impairment for _, nic in members):
            continue
        for place, (node, nic) in enumerate(members):
            for peer, theirs in _peers(members, place):
                for kind in _kinds(nic.impairment, theirs.impairment):
                    yield _check(kind, node, nic, peer, theirs)
            if nic.impairment.rate_kbit and nic.impairment.loss_percent < 100:
                # Once: what leaves a NIC does not depend on where it goes.
                yield from (
                    _check(CheckKind.RATE, node, nic, *peer) for peer in _peers(members, place)[:1]
                )


def _peers(members: Sequence[tuple[Node, NIC]], place: int) -> list[tuple[Node, NIC]]:
    ahead = range(1, min(MOST_PEERS, len(members) - 1) + 1)
    return [members[(place + step) % len(members)] for step in ahead]


def _kinds(ours: Impairment, theirs: Impairment) -> Iterator[CheckKind]:
    lost = loss_of(ours, theirs)
    if (ours.delay_ms or theirs.delay_ms) and 1 - lost >= _SURVIVORS_MIN:
        yield CheckKind.DELAY
    if lost:
        yield CheckKind.LOSS


def _check(kind: CheckKind, node: Node, nic: NIC, peer: Node, theirs: NIC) -> Check:
    return Check(
        kind=kind,
        node=node.name,
        target=peer.name,
        network=nic.network,
        address=str(theirs.address.ip),
        device=nic.device,
    )


def loss_of(ours: Impairment, theirs: Impairment) -> float:
    """The share of pings that are lost on their way or on their way back."""
    return 1 - (1 - ours.loss_percent / 100) * (1 - theirs.loss_percent / 100)


def round_trip_ms(ours: Impairment, theirs: Impairment) -> float:
    """What both ends add to a ping: their delays, and the time that a slow link takes to send it."""
    wires = [_FRAME * 8 / each.rate_kbit for each in (ours, theirs) if each.rate_kbit]
    return ours.delay_ms + theirs.delay_ms + sum(wires)


def plan(members: Sequence[NIC]) -> Plan:
    """Choose how to ping on a network: so many that none lost would be noticed, within the time there is.

    Slow links set the pace: all that a NIC sends, requests and replies, has to fit in
    two thirds of its rate.
    """
    impaired = [nic.impairment for nic in members]
    slowest = min((each.rate_kbit for each in impaired if each.rate_kbit), default=0)
    peers = min(MOST_PEERS, len(members) - 1)
    period = max(_FASTEST_MS, 1.5 * 2 * peers * _FRAME * 8 / slowest if slowest else 0.0)
    losses = [each.loss_percent / 100 for each in impaired if 0 < each.loss_percent < 100]
    wanted = _PINGS_MIN
    if losses:
        least = min(losses) if len(losses) < len(impaired) else 1 - (1 - min(losses)) ** 2
        # Round trips need some that come back; a verdict on loss needs some that do not.
        survivors = (1 - max(losses)) ** 2
        wanted = max(
            5 * _PINGS_MIN,
            math.ceil(math.log(ODDS) / math.log(1 - least)),
            math.ceil(10 / survivors),
        )
    count = max(_PINGS_MIN, min(wanted, _PINGS_MAX, int(_PINGS_MS / period)))
    # Few pings are spread over a second: a short stall of an emulated CPU does not meet all of them.
    period = max(period, 1000 / count)
    longest = sum(sorted((each.delay_ms for each in impaired), reverse=True)[:2])
    return Plan(count=count, period_ms=period, timeout_ms=2000 + math.ceil(longest))


def parts(lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> Iterator[Part]:
    """See Family.parts."""
    if not checks:
        return
    yield Part(tag=_SHOW, shell=tc.SHOW, phase=Phase.FACTS)
    lines, longest = [], 0.0
    for network in dict.fromkeys(
        check.network for check in checks if check.kind is not CheckKind.RATE
    ):
        addresses = [
            c.address for c in checks if c.network == network and c.kind is not CheckKind.RATE
        ]
        chosen = plan([nic for _, nic in lab.members(network)])
        lines.append(ping_line(chosen, list(dict.fromkeys(addresses))))
        longest = max(longest, (chosen.count * chosen.period_ms + chosen.timeout_ms) / 1000)
    if lines:
        shell = "\n".join(
            [f"command -v fping >/dev/null || return {NOT_FOUND}", *(f"{line} &" for line in lines)]
        )
        yield Part(tag=_PING, shell=f"{shell}\nwait", phase=Phase.PINGS, limit_s=10 + longest)
    rates = [check for check in checks if check.kind is CheckKind.RATE]
    if rates:
        trains = [(check, _own(lab, check)) for check in rates]
        shell = shlex.join(
            ["python3", "-c", _TRAIN, *(_train(check, nic) for check, nic in trains)]
        )
        limit = 10 + sum(
            _RATE_TRIES * (2 * _RATE_WINDOW_S + _warm_s(nic.impairment)) for _, nic in trains
        )
        yield Part(tag=_RATE, shell=shell, limit_s=limit)


def ping_line(chosen: Plan, addresses: Sequence[str]) -> str:
    """One fping to all of them; as root, whom no fping holds to a slower pace."""
    between = max(1, int(chosen.period_ms / len(addresses)) - 1)
    options = (
        f"-q -c {chosen.count} -i {between} -p {round(chosen.period_ms)} -t {chosen.timeout_ms}"
    )
    return f"sudo -n fping {options} {shlex.join(addresses)}"


def _own(lab: Lab, check: Check) -> NIC:
    nic = lab.node(check.node).nic_on(check.network)
    assert nic is not None, check
    return nic


def _ends(lab: Lab, check: Check) -> tuple[Impairment, Impairment]:
    theirs = lab.node(check.target).nic_on(check.network)
    return _own(lab, check).impairment, theirs.impairment if theirs else NO_IMPAIRMENT


def _warm_s(impairment: Impairment) -> float:
    return 0.2 + impairment.delay_ms / 1000


def _train(check: Check, nic: NIC) -> str:
    """A train's five words: some 50 packets a second at least, so that one more or less is no matter."""
    bytes_s = nic.impairment.rate_kbit * 1000 / 8
    frame = round(min(nic.mtu + 14, max(120.0, bytes_s / 50)))
    offered = bytes_s * _OFFERED / (1 - nic.impairment.loss_percent / 100)
    return f"{check.device},{check.address},{frame},{offered:.0f},{_warm_s(nic.impairment):.3f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What came of a number of pings."""

    sent: int
    received: int
    least_ms: float | None
    line: str


def counted(lines: Sequence[str]) -> dict[str, Counted]:
    """Read the lines of `fping -q -c`; whatever is no such line is passed over."""
    found = {}
    for line in lines:
        if match := _COUNTED.fullmatch(line.strip()):
            least = float(match["least"]) if match["least"] else None
            found[match["target"]] = Counted(
                sent=int(match["sent"]),
                received=int(match["received"]),
                least_ms=least,
                line=line.strip(),
            )
    return found


def judge(lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts) -> Iterator[CheckResult]:
    """See Family.judge."""
    pings = counted(answer.of(_PING).lines)
    netems = tc.parse("\n".join(answer.of(_SHOW).lines)) if answer.of(_SHOW).code == 0 else None
    for check in checks:
        if check.kind is CheckKind.RATE:
            yield _judge_rate(lab, check, answer, netems)
            continue
        said = answer.of(_PING)
        ping = pings.get(check.address)
        if ping is None or not ping.sent:
            if said.code == NOT_FOUND:
                why = f"fping is not installed on {check.node}"
            else:
                why = answer.missing(_PING) or "fping gave no result"
            yield _of(lab, check, CheckStatus.ERROR, why, said.text)
            continue
        judge_one = _judge_delay if check.kind is CheckKind.DELAY else _judge_loss
        yield judge_one(lab, check, ping, netems)


Netems = Mapping[str, Impairment] | None  # of a node, by device; None: tc did not tell


def _of(lab: Lab, check: Check, status: CheckStatus, detail: str, output: str = "") -> CheckResult:
    if status is CheckStatus.PASSED:
        return CheckResult(check=check, status=status, detail=detail)
    command = f"tc -s qdisc show dev {check.device}"
    if check.kind is not CheckKind.RATE:
        command = ping_line(plan([nic for _, nic in lab.members(check.network)]), [check.address])
    return CheckResult(check=check, status=status, detail=detail, command=command, output=output)


def _why(lab: Lab, check: Check, netems: Netems) -> str:
    """What the node's own NIC has that it should not have, or the other way round; "" if it is as declared."""
    if netems is None:
        return ""
    declared, found = _own(lab, check).impairment, netems.get(check.device)
    if tc.is_same(declared, found):
        return ""
    return f"; {check.device} has {tc.words(found)}, ./invoke lab.up {lab.name} puts it right"


def _doubtful(lab: Lab, check: Check, netems: Netems, detail: str) -> CheckResult:
    """Pings can't tell; tc can."""
    if why := _why(lab, check, netems):
        return _of(lab, check, CheckStatus.FAILED, detail + why)
    if netems is None:
        return _of(
            lab,
            check,
            CheckStatus.ERROR,
            f"{detail}, which is too little to tell, and tc does not tell either",
        )
    return _of(lab, check, CheckStatus.PASSED, f"{detail}, which alone can't tell; tc says so")


def _judge_delay(lab: Lab, check: Check, ping: Counted, netems: Netems) -> CheckResult:
    declared = round_trip_ms(*_ends(lab, check))
    if ping.least_ms is None:
        detail = f"no reply to {ping.sent} pings{_why(lab, check, netems)}"
        return _of(lab, check, CheckStatus.FAILED, detail, ping.line)
    least = declared - max(MOST_MS_EARLY, declared * MOST_SHARE_EARLY)
    most = declared + max(MOST_MS_LATE, declared * MOST_SHARE_LATE)
    detail = f"{ping.least_ms:.1f} ms there and back, {declared:.3g} ms declared"
    if not least <= ping.least_ms <= most:
        detail += _why(lab, check, netems)
        return _of(lab, check, CheckStatus.FAILED, detail, ping.line)
    if declared <= MOST_MS_LATE:  # a node that is only slow would pass, too
        return _doubtful(lab, check, netems, detail)
    return _of(lab, check, CheckStatus.PASSED, detail)


def _judge_loss(lab: Lab, check: Check, ping: Counted, netems: Netems) -> CheckResult:
    share = loss_of(*_ends(lab, check))
    sent, lost = ping.sent, max(0, ping.sent - ping.received)
    detail = f"{lost} of {sent} pings lost, {share * 100:.3g} % declared"
    least, most = bounds(sent, share)
    if not least <= lost <= most:
        detail += f" ({least} to {most} would do)" + _why(lab, check, netems)
        return _of(lab, check, CheckStatus.FAILED, detail, ping.line)
    if least == 0:  # none lost would pass, too
        return _doubtful(lab, check, netems, detail)
    return _of(lab, check, CheckStatus.PASSED, detail)


def bounds(sent: int, share: float) -> tuple[int, int]:
    """How few and how many of so many may be lost: outside of it the odds are under ODDS, to each side."""
    if share >= 1:
        return sent, sent
    logs = (math.lgamma(sent + 1), math.log(share), math.log1p(-share))

    def odds(lost: int) -> float:
        ways = logs[0] - math.lgamma(lost + 1) - math.lgamma(sent - lost + 1)
        return math.exp(ways + lost * logs[1] + (sent - lost) * logs[2])

    least, below = 0, odds(0)
    while below < ODDS:
        least += 1
        below += odds(least)
    most, above = sent, odds(sent)
    while above < ODDS:
        most -= 1
        above += odds(most)
    return least, most


def _judge_rate(lab: Lab, check: Check, answer: Answer, netems: Netems) -> CheckResult:
    said = answer.of(_RATE)
    numbers = next(
        (line.split()[1:] for line in said.lines if line.startswith(f"{check.device} ")), []
    )
    try:
        sent, gone, took, full = map(float, numbers)
        found, offered = gone * 8 / took / 1000, math.inf if full else sent * 8 / took / 1000
    except (ValueError, ZeroDivisionError):
        if said.code == NOT_FOUND:
            why = f"python3 is not installed on {check.node}"
        else:
            why = answer.missing(_RATE) or "no answer"
        return _of(lab, check, CheckStatus.ERROR, why, said.text)
    declared = _own(lab, check).impairment
    detail = f"{tc.rate_words(found)} leave it, {tc.rate_words(declared.rate_kbit)} declared"
    why = _why(lab, check, netems)
    if found > declared.rate_kbit * MOST_RATE:
        return _of(lab, check, CheckStatus.FAILED, detail + why, said.text)
    survivors = 1 - declared.loss_percent / 100
    if offered * survivors < declared.rate_kbit * MOST_RATE:
        if why:
            return _of(lab, check, CheckStatus.FAILED, detail + why, said.text)
        detail += f"; the node's CPU offers {tc.rate_words(offered)} at most, so this was not put to the test"
        return _of(lab, check, CheckStatus.WARNED, detail, said.text)
    if found < declared.rate_kbit * LEAST_RATE:
        return _of(lab, check, CheckStatus.FAILED, detail + why, said.text)
    return _of(lab, check, CheckStatus.PASSED, detail)
