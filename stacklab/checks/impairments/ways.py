"""The effects of declared impairments on ways between nodes: late packets, and lost ones."""

from __future__ import annotations

import math
from itertools import combinations_with_replacement

from stacklab.checks.impairments.measuring import ODDS, loss_of
from stacklab.model.lab import NIC, Impairment, Lab

# Where half of the round trips are lost, TCP's waits double faster than the odds of waiting shrink:
# a login may take for ever.
MOST_LOST = 0.5
# Layer `impairments` measures at the same time and takes two thirds of a slow NIC's rate.
_OTHERS = 3


def slower_ms(lab: Lab) -> float:
    """Return how much longer a round trip between nodes may take, by what the lab declares."""
    slowest_ms = 0.0
    for network in lab.networks:
        members = lab.members(network.name)
        for _, nic in members:
            slowest_ms = max(slowest_ms, _one_way_ms(nic, len(members) - 1))
    return 2 * slowest_ms  # there and back


def _one_way_ms(nic: NIC, peers: int) -> float:
    """Return the delay, and the time until a full packet to each peer has left."""
    rate_kbit = nic.impairment.rate_kbit
    if not rate_kbit:
        return nic.impairment.delay_ms
    queue_bits = _OTHERS * peers * nic.mtu * 8
    return nic.impairment.delay_ms + queue_bits / rate_kbit


def slower_s(lab: Lab) -> int:
    """Return the same in whole seconds."""
    return math.ceil(slower_ms(lab) / 1000)


def is_cut(ours: Impairment, theirs: Impairment) -> bool:
    """Return True if the declared loss is so high that no check on this path is meaningful."""
    return loss_of(ours, theirs) >= MOST_LOST


def tries(lab: Lab, least: int) -> int:
    """Return how many packets to send so that one comes back on every way that is not cut."""
    worst = 0.0
    for network in lab.networks:
        members = lab.members(network.name)
        # Equal losses once: a network of 200 nodes has 20,000 pairs, and mostly one loss.
        by_loss = {nic.impairment.loss_percent: nic.impairment for _, nic in members}
        for ours, theirs in combinations_with_replacement(by_loss.values(), 2):
            if not is_cut(ours, theirs):
                worst = max(worst, loss_of(ours, theirs))
    if not worst:
        return least
    # So many that all are lost once in 1/ODDS runs.
    enough = math.ceil(math.log(ODDS) / math.log(worst))
    return max(least, enough)
