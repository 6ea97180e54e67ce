"""What declared impairments do to the ways between nodes: how late packets are, how many pass."""

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
    members = {network.name: len(lab.members(network.name)) for network in lab.networks}
    return 2 * max(
        (_one_way_ms(nic, members[nic.network] - 1) for node in lab.nodes for nic in node.nics),
        default=0.0,
    )


def _one_way_ms(nic: NIC, peers: int) -> float:
    """Return the delay, and the time until a full packet to each peer has left."""
    rate = nic.impairment.rate_kbit
    return nic.impairment.delay_ms + (_OTHERS * peers * nic.mtu * 8 / rate if rate else 0.0)


def slower_s(lab: Lab) -> int:
    """Return the same in whole seconds."""
    return math.ceil(slower_ms(lab) / 1000)


def is_cut(own: Impairment, theirs: Impairment) -> bool:
    """Return True if the declared loss is so high that no check on this path is meaningful."""
    return loss_of(own, theirs) >= MOST_LOST


def tries(lab: Lab, least: int) -> int:
    """Return how many packets to send so that one comes back on every way that is not cut."""
    worst = 0.0
    for network in lab.networks:
        found = {
            nic.impairment.loss_percent: nic.impairment for _, nic in lab.members(network.name)
        }
        pairs = combinations_with_replacement(found.values(), 2)
        worst = max([worst, *(loss_of(*pair) for pair in pairs if not is_cut(*pair))])
    return max(least, math.ceil(math.log(ODDS) / math.log(worst))) if worst else least
