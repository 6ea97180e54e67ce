from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping

import pytest

from stacklab.checks.impairments import family as impairments
from stacklab.checks.impairments.verdicts import loss_bounds, read_counts
from stacklab.checks.result import CheckKind, CheckResult, CheckStatus, Reason
from stacklab.dev.simulated import impairments as impairments_simulated
from stacklab.model.lab import NO_IMPAIRMENT, Impairment, Lab
from stacklab.nodes.protocol import NOT_FOUND, Answer, Said
from stacklab.tools.network import tc
from tests.unit.checks.impairments.said import FACTS, WAN, impaired, of

PEER = "10.20.0.12"


SHOWN = "qdisc netem 51ab: dev eth1 root refcnt 2 limit 808 delay 20ms loss 1% rate 10Mbit"


def answer(
    pings: str = "", rate: str = "", shown: str = SHOWN, codes: Mapping[str, int] | None = None
) -> Answer:
    codes = codes or {}
    said = {
        tag: Said(lines=tuple(text.splitlines()), code=codes.get(tag, 0))
        for tag, text in (
            ("impairments.tc", shown),
            ("impairments.ping", pings),
            ("impairments.rate", rate),
        )
    }
    return Answer(is_begun=True, is_complete=True, said=said)


def line(sent: int, received: int, least: float = 40.6) -> str:
    times = f", min/avg/max = {least}/{least + 1}/{least + 5}" if received else ""
    return f"{PEER} : xmt/rcv/%loss = {sent}/{received}/{100 * (sent - received) // sent}%{times}"


def judged(lab: Lab, kind: CheckKind, said: Answer) -> CheckResult:
    (found,) = impairments.judge(lab, [of(lab, kind)], said, FACTS)
    return found


def test_counts_are_read_from_any_fping_and_garbage_is_passed_over() -> None:
    found = read_counts(
        [
            "10.0.0.1 : xmt/rcv/%loss = 20/19/5%, min/avg/max = 40.1/40.5/41.0",
            "10.0.0.2  : xmt/rcv/%loss = 20/0/100%",
            "10.0.0.3 : xmt/rcv/%return = 20/21/105%, min/avg/max = 0.04/0.05/0.06",
            "sudo: a password is required",
            "",
            "10.0.0.4 : xmt/rcv/%loss = x/y/z%",
        ]
    )
    assert {t: (c.sent, c.received, c.least_ms) for t, c in found.items()} == {
        "10.0.0.1": (20, 19, 40.1),
        "10.0.0.2": (20, 0, None),
        "10.0.0.3": (20, 21, 0.04),
    }


# --- delay


@pytest.mark.parametrize(
    ("least", "status"),
    [
        (40.6, CheckStatus.PASSED),
        (44.9, CheckStatus.PASSED),
        (0.6, CheckStatus.FAILED),
        (20.6, CheckStatus.FAILED),
        (30.6, CheckStatus.FAILED),
        (39.0, CheckStatus.FAILED),
        (50.6, CheckStatus.FAILED),
    ],
)
def test_the_fastest_round_trip_is_both_ends_delays(least: float, status: CheckStatus) -> None:
    lab = impaired(Impairment(delay_ms=20))
    found = judged(
        lab,
        CheckKind.DELAY,
        answer(line(20, 20, least), shown=SHOWN.replace(" loss 1% rate 10Mbit", "")),
    )
    assert found.status is status
    assert found.detail == f"{least:.1f} ms there and back, 40 ms declared"


def test_a_slow_link_adds_the_time_that_it_takes_to_send_a_ping() -> None:
    lab = impaired(Impairment(delay_ms=20, rate_kbit=64))
    assert judged(lab, CheckKind.DELAY, answer(line(20, 20, 64.7))).is_passed
    assert not judged(lab, CheckKind.DELAY, answer(line(20, 20, 40.6))).is_passed


def test_no_reply_is_no_delay() -> None:
    found = judged(impaired(WAN), CheckKind.DELAY, answer(line(20, 0)))
    assert (found.status, found.reason) == (CheckStatus.FAILED, Reason.NO_REPLY)


def test_a_delay_as_short_as_an_emulated_node_is_slow_is_told_by_tc() -> None:
    lab = impaired(Impairment(delay_ms=1))
    shown = "qdisc netem 51ab: dev eth1 root refcnt 2 limit 808 delay 1ms"
    assert judged(lab, CheckKind.DELAY, answer(line(20, 20, 2.9), shown=shown)).is_passed
    found = judged(
        lab,
        CheckKind.DELAY,
        answer(line(20, 20, 2.9), shown="qdisc fq_codel 0: dev eth1 root refcnt 2"),
    )
    assert found.status is CheckStatus.FAILED
    assert "eth1 has no netem, ./invoke lab.up trio puts it right" in found.detail
    found = judged(
        lab, CheckKind.DELAY, answer(line(20, 20, 2.9), codes={"impairments.tc": NOT_FOUND})
    )
    assert found.status is CheckStatus.ERROR


# --- loss


@pytest.mark.parametrize(
    ("sent", "share"), [(100, 0.5), (344, 0.0199), (917, 0.01), (1000, 0.001), (20, 0.9)]
)
def test_the_bounds_leave_out_what_next_to_never_happens(sent: int, share: float) -> None:
    least, most = loss_bounds(sent, share)
    dice = random.Random(4)
    outside = 0
    for _ in range(400):
        lost = sum(dice.random() < share for _ in range(sent))
        outside += not least <= lost <= most
    assert outside <= 6  # 0.8 are to be expected
    assert least <= sent * share <= most


def test_all_declared_lost_is_all_lost() -> None:
    assert loss_bounds(100, 1.0) == (100, 100)


@pytest.mark.parametrize(
    ("lost", "status"),
    [
        (7, CheckStatus.PASSED),
        (1, CheckStatus.PASSED),
        (16, CheckStatus.PASSED),
        (0, CheckStatus.FAILED),
        (17, CheckStatus.FAILED),
        (344, CheckStatus.FAILED),
    ],
)
def test_loss_is_held_against_the_declared_of_both_ends(lost: int, status: CheckStatus) -> None:
    found = judged(impaired(WAN), CheckKind.LOSS, answer(line(344, 344 - lost)))
    assert found.status is status
    assert found.detail.startswith(f"{lost} of 344 pings lost, 1.99 % declared")
    if status is CheckStatus.FAILED:
        assert "(1 to 16 would do)" in found.detail
        assert "fping -q -c 344" in found.command
        assert found.output


def test_a_loss_too_small_to_be_told_from_none_is_told_by_tc() -> None:
    lab = impaired(Impairment(loss_percent=0.1))
    shown = "qdisc netem 51ab: dev eth1 root refcnt 2 limit 808 loss 0.1%"
    assert judged(lab, CheckKind.LOSS, answer(line(1000, 1000), shown=shown)).is_passed
    assert not judged(lab, CheckKind.LOSS, answer(line(1000, 1000), shown="")).is_passed
    assert not judged(lab, CheckKind.LOSS, answer(line(1000, 980), shown=shown)).is_passed


def test_a_duplicate_is_not_a_loss_the_other_way_round() -> None:
    said = answer(f"{PEER} : xmt/rcv/%return = 100/101/101%, min/avg/max = 0.1/0.2/0.3", shown="")
    found = judged(impaired(Impairment(loss_percent=0.1)), CheckKind.LOSS, said)
    assert found.detail.startswith("0 of 100 pings lost")


# --- rate


@pytest.mark.parametrize(
    ("sent", "gone", "status"),
    [
        (1_640_000, 1_250_000, CheckStatus.PASSED),
        (1_640_000, 1_640_000, CheckStatus.FAILED),  # all that was offered: no limit
        (1_640_000, 625_000, CheckStatus.FAILED),  # half
        (1_640_000, 0, CheckStatus.FAILED),
        (1_200_000, 1_200_000, CheckStatus.WARNED),  # the CPU is the limit
        (500_000, 500_000, CheckStatus.WARNED),
    ],
)
def test_the_rate_is_what_leaves_the_nic_while_more_is_offered(
    sent: int, gone: int, status: CheckStatus
) -> None:
    found = judged(impaired(WAN), CheckKind.RATE, answer(rate=f"eth1 {sent} {gone} 1.000 0"))
    assert found.status is status, found.detail
    assert "10 Mbit/s declared" in found.detail


def test_a_full_socket_is_as_good_as_an_offer() -> None:
    found = judged(impaired(WAN), CheckKind.RATE, answer(rate="eth1 1250000 1250000 1.000 7"))
    assert found.status is CheckStatus.PASSED


def test_where_the_cpu_is_the_limit_and_there_is_no_netem_it_is_no_warning() -> None:
    found = judged(
        impaired(WAN), CheckKind.RATE, answer(rate="eth1 500000 500000 1.000 0", shown="")
    )
    assert found.status is CheckStatus.FAILED
    assert "eth1 has no netem" in found.detail


# --- without an answer


def test_what_is_missing_on_the_node_is_named() -> None:
    lab = impaired(WAN)
    codes = {"impairments.ping": NOT_FOUND, "impairments.rate": NOT_FOUND}
    said = answer(codes=codes)
    assert judged(lab, CheckKind.LOSS, said).reason == Reason.PROGRAM_MISSING
    assert judged(lab, CheckKind.RATE, said).reason == Reason.PROGRAM_MISSING


@pytest.mark.parametrize("kind", [CheckKind.DELAY, CheckKind.LOSS, CheckKind.RATE])
@pytest.mark.parametrize("text", ["", "garbage", "eth1 x y z w", "eth1 1 2 0 0", "eth1", "  "])
def test_no_answer_is_an_error_never_a_pass(kind: CheckKind, text: str) -> None:
    for said in (answer(text, text), Answer(is_begun=True)):
        found = judged(impaired(WAN), kind, said)
        assert found.status is CheckStatus.ERROR
        assert found.detail


def test_a_passed_check_carries_no_long_strings() -> None:
    found = judged(impaired(WAN), CheckKind.LOSS, answer(line(344, 337)))
    assert (found.command, found.output, found.evidence) == ("", "", "")


# --- all of it, with simulated nodes

HEALTHY = {
    "impairments.tc": impairments_simulated.show,
    "impairments.ping": impairments_simulated.pings,
    "impairments.rate": impairments_simulated.trains,
}


def measured(lab: Lab, spoiled: Lab, node: str = "n0") -> list[CheckResult]:
    """What a node of `spoiled` says when it is held against `lab`."""
    own = [c for c in impairments.expected(lab) if c.node == node]
    parts = impairments.parts(lab, lab.node(node), own, FACTS)
    said = {
        p.tag: Said(lines=tuple(HEALTHY[p.tag](spoiled, spoiled.node(node), p.shell)), code=0)
        for p in parts
    }
    return list(
        impairments.judge(lab, own, Answer(is_begun=True, is_complete=True, said=said), FACTS)
    )


@pytest.mark.parametrize(
    "impairment",
    [
        WAN,
        Impairment(delay_ms=5),
        Impairment(delay_ms=1500, loss_percent=40),
        Impairment(rate_kbit=64),
        Impairment(loss_percent=0.1),
        Impairment(loss_percent=100),
        Impairment(delay_ms=1, loss_percent=5, rate_kbit=128),
    ],
    ids=lambda each: tc.words(each),
)
@pytest.mark.parametrize("nodes", [2, 3, 9])
def test_nodes_that_are_as_declared_pass_and_others_do_not(
    impairment: Impairment, nodes: int
) -> None:
    lab = impaired(impairment, nodes=nodes)
    assert {result.status for result in measured(lab, lab)} == {CheckStatus.PASSED}
    assert not any(
        result.is_passed for result in measured(lab, impaired(NO_IMPAIRMENT, nodes=nodes))
    )
    for other in (
        dataclasses.replace(impairment, delay_ms=impairment.delay_ms * 2 + 20),
        dataclasses.replace(impairment, rate_kbit=impairment.rate_kbit // 2 or 32),
    ):
        results = measured(lab, impaired(other, nodes=nodes))
        kind = CheckKind.DELAY if other.delay_ms != impairment.delay_ms else CheckKind.RATE
        assert not any(result.is_passed for result in results if result.check.kind is kind)


def test_two_hundred_nodes_stay_linear() -> None:
    lab = impaired(WAN, nodes=200)
    assert len(list(impairments.expected(lab))) == 200 * (2 * impairments.MOST_PEERS + 1)
    assert {result.status for result in measured(lab, lab, "n199")} == {CheckStatus.PASSED}
