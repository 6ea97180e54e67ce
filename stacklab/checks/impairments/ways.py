"""What declared impairments make of the ways between nodes: how late packets are, and how many get through. Pure."""

from __future__ import annotations

import math
from itertools import combinations_with_replacement

from stacklab.checks.impairments.family import ODDS, loss_of
from stacklab.model.lab import NIC, Impairment, Lab

# From half of the round trips on, TCP's waits double faster than their odds shrink: a login has no end to expect.
MOST_LOST = 0.5
_OTHERS = (
    3  # of a slow NIC's rate two thirds are taken: layer `impairments` measures at the same time
)


def slower_ms(lab: Lab) -> float:
    """How much longer than usual a round trip between nodes may take, by what the lab declares."""
    members = {network.name: len(lab.members(network.name)) for network in lab.networks}
    return 2 * max(
        (_one_way_ms(nic, members[nic.network] - 1) for node in lab.nodes for nic in node.nics),
        default=0.0,
    )


def _one_way_ms(nic: NIC, peers: int) -> float:
    """The delay, and the time until a full packet to each peer has left."""
    rate = nic.impairment.rate_kbit
    return nic.impairment.delay_ms + (_OTHERS * peers * nic.mtu * 8 / rate if rate else 0.0)


def slower_s(lab: Lab) -> int:
    """The same in whole seconds."""
    return math.ceil(slower_ms(lab) / 1000)


def is_cut(own: Impairment, theirs: Impairment) -> bool:
    """Whether so much is declared to be lost that nothing can be promised of what goes that way."""
    return loss_of(own, theirs) >= MOST_LOST


def tries(lab: Lab, least: int) -> int:
    """How many packets to send so that at least one comes back on every way that is not cut."""
    worst = 0.0
    for network in lab.networks:
        found = {
            nic.impairment.loss_percent: nic.impairment for _, nic in lab.members(network.name)
        }
        pairs = combinations_with_replacement(found.values(), 2)
        worst = max([worst, *(loss_of(*pair) for pair in pairs if not is_cut(*pair))])
    return max(least, math.ceil(math.log(ODDS) / math.log(worst))) if worst else least
