from __future__ import annotations

import pytest

from stacklab.checks.impairments import family as impairments
from stacklab.checks.impairments.measuring import ping_plan
from stacklab.checks.impairments.verdicts import loss_bounds
from stacklab.checks.result import CheckKind
from stacklab.model.lab import NO_IMPAIRMENT, Impairment
from stacklab.nodes.protocol import Phase, time_limit_s
from tests.unit.checks.fake_lab import make_lab
from tests.unit.checks.impairments.said import FACTS, WAN, impaired, of

# --- what is expected


def test_a_lab_without_impairments_has_nothing_to_measure() -> None:
    assert list(impairments.expected(make_lab())) == []
    assert list(impairments.parts(make_lab(), make_lab().nodes[0], [], FACTS)) == []


def test_every_pair_with_an_impaired_end_is_measured_from_both_ends() -> None:
    lab = impaired(WAN, NO_IMPAIRMENT)
    found = [(c.kind, c.node, c.target) for c in impairments.expected(lab)]
    pairs = {("n0", "n1"), ("n0", "n2"), ("n1", "n0"), ("n2", "n0")}
    for kind in (CheckKind.DELAY, CheckKind.LOSS):
        assert {(node, target) for each, node, target in found if each is kind} == pairs
    assert [node for each, node, _ in found if each is CheckKind.RATE] == [
        "n0"
    ]  # what leaves it, once
    assert len(found) == len(set(found))


def test_only_what_is_declared_is_measured() -> None:
    assert {c.kind for c in impairments.expected(impaired(Impairment(delay_ms=5)))} == {
        CheckKind.DELAY
    }
    assert {c.kind for c in impairments.expected(impaired(Impairment(rate_kbit=512)))} == {
        CheckKind.RATE
    }


def test_where_next_to_nothing_comes_back_there_is_no_round_trip_to_measure() -> None:
    lab = impaired(Impairment(delay_ms=5, loss_percent=100, rate_kbit=512))
    assert {c.kind for c in impairments.expected(lab)} == {CheckKind.LOSS}


def test_many_nodes_try_a_few_neighbours_each_and_all_are_tried() -> None:
    lab = impaired(WAN, nodes=50)
    found = [c for c in impairments.expected(lab) if c.kind is CheckKind.LOSS]
    assert len(found) == 50 * impairments.MOST_PEERS
    assert {c.target for c in found} == {node.name for node in lab.nodes}
    assert all(c.node != c.target for c in found)


# --- how it is measured


@pytest.mark.parametrize("loss", [0.0, 0.1, 1, 2, 10, 50, 90, 100])
@pytest.mark.parametrize("rate", [0, 64, 512, 10_000])
@pytest.mark.parametrize("nodes", [2, 3, 50])
def test_the_pings_take_five_seconds_at_most_and_leave_a_slow_link_room(
    loss: float, rate: int, nodes: int
) -> None:
    lab = impaired(Impairment(delay_ms=20, loss_percent=loss, rate_kbit=rate), nodes=nodes)
    chosen = ping_plan([nic for _, nic in lab.members("net1")])
    assert chosen.count * chosen.period_ms <= 5001
    if rate:
        packets = 2 * min(impairments.MOST_PEERS, nodes - 1)  # requests and replies
        assert packets * 98 * 8 / rate <= chosen.period_ms


@pytest.mark.parametrize(("loss", "count"), [(0.0, 20), (1, 344), (2, 171), (5, 100)])
def test_the_count_goes_by_the_declared_loss(loss: float, count: int) -> None:
    lab = impaired(Impairment(delay_ms=20, loss_percent=loss))
    assert ping_plan([nic for _, nic in lab.members("net1")]).count == count


def test_none_lost_would_be_noticed_where_loss_is_declared_at_one_end_alone() -> None:
    lab = impaired(Impairment(loss_percent=1), NO_IMPAIRMENT)
    chosen = ping_plan([nic for _, nic in lab.members("net1")])
    assert loss_bounds(chosen.count, 0.01)[0] > 0


def test_a_node_runs_one_fping_per_network_and_one_train() -> None:
    lab = impaired(WAN)
    own = [c for c in impairments.expected(lab) if c.node == "n0"]
    parts = {part.tag: part for part in impairments.parts(lab, lab.nodes[0], own, FACTS)}
    assert set(parts) == {"impairments.tc", "impairments.ping", "impairments.rate"}
    assert parts["impairments.ping"].shell.count("sudo -n fping") == 1
    assert parts["impairments.ping"].shell.count("10.20.0.12 10.20.0.13 &") == 1
    assert parts["impairments.ping"].phase is Phase.PINGS
    assert "eth1,10.20.0.12,1514,1641414,0.220" in parts["impairments.rate"].shell
    assert time_limit_s(parts.values()) < 60


def test_a_node_pings_only_what_is_left_to_try() -> None:
    lab = impaired(WAN)
    parts = list(impairments.parts(lab, lab.nodes[0], [of(lab, CheckKind.LOSS)], FACTS))
    assert [part.tag for part in parts] == ["impairments.tc", "impairments.ping"]
    assert "10.20.0.13" not in parts[1].shell


def test_a_slow_link_s_train_has_small_packets() -> None:
    lab = impaired(Impairment(rate_kbit=64))
    own = [of(lab, CheckKind.RATE)]
    shell = next(
        p.shell
        for p in impairments.parts(lab, lab.nodes[0], own, FACTS)
        if p.tag == "impairments.rate"
    )
    assert "eth1,10.20.0.12,160," in shell
