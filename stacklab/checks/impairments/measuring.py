"""How declared delay, loss and rate are measured: what a node runs, and how much of it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from stacklab.checks.result import Check
from stacklab.model.lab import NIC, Impairment, Lab
from stacklab.nodes.protocol import NOT_FOUND, Part, Phase

ODDS = 1e-3  # of calling a right loss wrong, to each side; what fails is tried again
MOST_PEERS = 4
SHOW, PING, RATE = "impairments.tc", "impairments.ping", "impairments.rate"  # the parts

_PINGS_MS = 5000.0  # for all the pings of a pair
_PINGS_MIN, _PINGS_MAX = 20, 1000
_FASTEST_MS = 5.0
_FRAME = 98  # bytes of a ping with its headers
_HEADERS = 42  # Ethernet, IP and UDP
_RATE_WINDOW_S, _RATE_TRIES = 1.0, 3
_OFFERED = 1.3  # of the declared rate

# Sends datagrams somewhat faster than declared, and reads how many bytes the NIC lets out meanwhile.
# The socket is not connected: port 9 is closed, and its refusals must not end this. For any python3.
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
class PingPlan:
    """How many pings go to each peer of a network, and how far apart."""

    count: int
    period_ms: float
    timeout_ms: int


def loss_of(ours: Impairment, theirs: Impairment) -> float:
    """Return the share of pings that are lost on their way or on their way back."""
    return 1 - (1 - ours.loss_percent / 100) * (1 - theirs.loss_percent / 100)


def round_trip_ms(ours: Impairment, theirs: Impairment) -> float:
    """Return what both ends add to a ping: their delays, and what a slow link takes to send it."""
    wires = [_FRAME * 8 / each.rate_kbit for each in (ours, theirs) if each.rate_kbit]
    return ours.delay_ms + theirs.delay_ms + sum(wires)


def ping_plan(members: Sequence[NIC]) -> PingPlan:
    """Choose how to ping on a network.

    There are so many pings that it would be noticed if none was lost, within the time there
    is. Slow links set the pace: all that a NIC sends, requests and replies, has to fit in
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
    # Few pings are spread over a second: a short stall of an emulated CPU does not delay all of them.
    period = max(period, 1000 / count)
    longest = sum(sorted((each.delay_ms for each in impaired), reverse=True)[:2])
    return PingPlan(count=count, period_ms=period, timeout_ms=2000 + math.ceil(longest))


def ping_line(chosen: PingPlan, addresses: Sequence[str]) -> str:
    """Return one fping to all of them, as root: fping makes other users go slower."""
    between = max(1, int(chosen.period_ms / len(addresses)) - 1)
    options = (
        f"-q -c {chosen.count} -i {between} -p {round(chosen.period_ms)} -t {chosen.timeout_ms}"
    )
    return f"sudo -n fping {options} {shlex.join(addresses)}"


def ping_part(lab: Lab, checks: Sequence[Check]) -> Part:
    """Return the part that pings, on all networks at once."""
    lines = [f"command -v fping >/dev/null || return {NOT_FOUND}"]
    longest = 0.0
    for network in dict.fromkeys(check.network for check in checks):
        addresses = dict.fromkeys(check.address for check in checks if check.network == network)
        chosen = ping_plan([nic for _, nic in lab.members(network)])
        lines.append(f"{ping_line(chosen, list(addresses))} &")
        longest = max(longest, (chosen.count * chosen.period_ms + chosen.timeout_ms) / 1000)
    shell = "\n".join([*lines, "wait"])
    return Part(tag=PING, shell=shell, phase=Phase.PINGS, limit_s=10 + longest)


def rate_part(lab: Lab, checks: Sequence[Check]) -> Part:
    """Return the part that measures rates, one NIC after the other."""
    trains, limit = [], 10.0
    for check in checks:
        nic = nic_of(lab, check)
        trains.append(_train_words(check, nic))
        limit += _RATE_TRIES * (2 * _RATE_WINDOW_S + _warm_up_s(nic.impairment))
    return Part(tag=RATE, shell=shlex.join(["python3", "-c", _TRAIN, *trains]), limit_s=limit)


def nic_of(lab: Lab, check: Check) -> NIC:
    """Return the NIC that a check measures."""
    nic = lab.node(check.node).nic_on(check.network)
    assert nic is not None, check
    return nic


def impairment_of(lab: Lab, check: Check) -> Impairment:
    """Return what is declared of the NIC that a check measures."""
    return nic_of(lab, check).impairment


def _warm_up_s(impairment: Impairment) -> float:
    return 0.2 + impairment.delay_ms / 1000


def _train_words(check: Check, nic: NIC) -> str:
    """Return a train's five words: at least some 50 packets a second, so that one hardly counts."""
    bytes_s = nic.impairment.rate_kbit * 1000 / 8
    frame = round(min(nic.mtu + 14, max(120.0, bytes_s / 50)))
    offered = bytes_s * _OFFERED / (1 - nic.impairment.loss_percent / 100)
    return f"{check.device},{check.address},{frame},{offered:.0f},{_warm_up_s(nic.impairment):.3f}"
