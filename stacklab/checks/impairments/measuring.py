"""The measurements of declared delay, loss and rate: the parts that a node runs, and their size."""

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

# Sends datagrams somewhat faster than declared, and reads how many bytes the NIC lets out
# meanwhile. The socket is not connected: port 9 is closed, and its refusals must not end this.
# For any python3.
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
    """The number of pings to each peer of a network, and the time between them."""

    count: int
    period_ms: float
    timeout_ms: int


def loss_of(ours: Impairment, theirs: Impairment) -> float:
    """Return the share of pings that are lost on their way or on their way back."""
    return 1 - (1 - ours.loss_percent / 100) * (1 - theirs.loss_percent / 100)


def round_trip_ms(ours: Impairment, theirs: Impairment) -> float:
    """Return what both ends add to a ping: their delays, and what a slow link takes to send it."""
    total_ms = ours.delay_ms + theirs.delay_ms
    for impairment in (ours, theirs):
        if impairment.rate_kbit:
            total_ms += _FRAME * 8 / impairment.rate_kbit  # bits by kbit/s: milliseconds
    return total_ms


def ping_plan(members: Sequence[NIC]) -> PingPlan:
    """Choose how to ping on a network.

    There are so many pings that it would be noticed if none was lost, within the time there
    is. Slow links set the pace: all that a NIC sends, requests and replies, has to fit in
    two thirds of its rate.
    """
    impairments = [nic.impairment for nic in members]
    period_ms = _least_period_ms(impairments)
    wanted = _wanted_pings(impairments)
    count = max(_PINGS_MIN, min(wanted, _PINGS_MAX, int(_PINGS_MS / period_ms)))
    # Few pings are spread over a second: else a short stall of an emulated CPU delays all of them.
    period_ms = max(period_ms, 1000 / count)
    # A ping waits at both ends: at worst at the two slowest of the network.
    delays_ms = sorted((impairment.delay_ms for impairment in impairments), reverse=True)
    timeout_ms = 2000 + math.ceil(sum(delays_ms[:2]))
    return PingPlan(count=count, period_ms=period_ms, timeout_ms=timeout_ms)


def _least_period_ms(impairments: Sequence[Impairment]) -> float:
    """Return the shortest time between two pings that the slowest NIC of a network bears."""
    rates_kbit = [impairment.rate_kbit for impairment in impairments if impairment.rate_kbit]
    if not rates_kbit:
        return _FASTEST_MS
    peers = min(MOST_PEERS, len(impairments) - 1)
    frames = 2 * peers  # a request and a reply for each peer
    return max(_FASTEST_MS, 1.5 * frames * _FRAME * 8 / min(rates_kbit))


def _wanted_pings(impairments: Sequence[Impairment]) -> int:
    """Return how many pings a verdict on the declared losses needs, however long they take."""
    declared = [impairment.loss_percent / 100 for impairment in impairments]
    losses = [loss for loss in declared if 0 < loss < 1]
    if not losses:
        return _PINGS_MIN
    # The least loss of any pair: at one end, unless every NIC loses something.
    least = min(losses)
    if len(losses) == len(impairments):
        least = 1 - (1 - least) ** 2
    # Round trips need some that come back; a verdict on loss needs some that do not.
    until_one_is_lost = math.log(ODDS) / math.log(1 - least)
    until_ten_come_back = 10 / (1 - max(losses)) ** 2
    return max(5 * _PINGS_MIN, math.ceil(until_one_is_lost), math.ceil(until_ten_come_back))


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
    # A mapping in place of a set, here and below: it keeps the order of the checks.
    addresses_on: dict[str, dict[str, None]] = {}
    for check in checks:
        addresses_on.setdefault(check.network, {})[check.address] = None
    for network, addresses in addresses_on.items():
        chosen = ping_plan([nic for _, nic in lab.members(network)])
        lines.append(f"{ping_line(chosen, list(addresses))} &")
        needed_ms = chosen.count * chosen.period_ms + chosen.timeout_ms
        longest = max(longest, needed_ms / 1000)
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
    """Return how long a train runs before it is measured: netem holds packets back at first."""
    return 0.2 + impairment.delay_ms / 1000


def _train_words(check: Check, nic: NIC) -> str:
    """Return a train's five words: at least some 50 packets a second, so that one hardly counts."""
    bytes_s = nic.impairment.rate_kbit * 1000 / 8
    frame = round(min(nic.mtu + 14, max(120.0, bytes_s / 50)))
    offered = bytes_s * _OFFERED / (1 - nic.impairment.loss_percent / 100)
    return f"{check.device},{check.address},{frame},{offered:.0f},{_warm_up_s(nic.impairment):.3f}"
