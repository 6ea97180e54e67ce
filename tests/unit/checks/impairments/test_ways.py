from __future__ import annotations

import dataclasses

import pytest

from stacklab.checks.impairments import measuring as impairments
from stacklab.checks.impairments import ways
from stacklab.model.lab import Impairment, Lab
from tests.unit.checks.fake_lab import late, make_lab

LAB = make_lab()


def impaired(*which: Impairment) -> Lab:
    """The second NIC of each node with one of these."""
    nodes = tuple(
        dataclasses.replace(
            node, nics=(node.nics[0], dataclasses.replace(node.nics[1], impairment=each))
        )
        for node, each in zip(LAB.nodes, which, strict=True)
    )
    return dataclasses.replace(LAB, nodes=nodes)


def test_a_lab_without_impairments_needs_no_more_patience() -> None:
    assert (ways.slower_ms(LAB), ways.slower_s(LAB), ways.tries(LAB, 3)) == (0, 0, 3)


def test_both_ends_may_hold_a_packet_back() -> None:
    assert (ways.slower_ms(late(LAB, 2000)), ways.slower_s(late(LAB, 2000))) == (4000, 4)


def test_a_slow_nic_needs_time_for_a_full_packet_to_everybody() -> None:
    """It had none: 9000 bytes at 32 kbit/s leave in 2.25 s, and fping waited for 2."""
    slow = Impairment(rate_kbit=32)
    assert ways.slower_ms(impaired(slow, slow, slow)) > 2 * 2 * 1500 * 8 / 32


@pytest.mark.parametrize("loss", [0.1, 5, 10, 29])
def test_so_many_are_sent_that_one_comes_back(loss: float) -> None:
    lossy = Impairment(loss_percent=loss)
    assert not ways.is_cut(lossy, lossy)
    count = ways.tries(impaired(lossy, lossy, lossy), 3)
    assert impairments.loss_of(lossy, lossy) ** count <= impairments.ODDS
    assert count <= 10


def test_a_way_that_is_cut_does_not_make_the_others_longer() -> None:
    half = Impairment(loss_percent=50)
    assert ways.is_cut(half, Impairment())
    assert ways.tries(impaired(half, half, Impairment()), 3) == 3
