from __future__ import annotations

import pytest

from stacklab.checks.expect import Fault, FaultKind, Outage
from stacklab.checks.result import CheckKind, CheckResult, CheckStatus
from stacklab.views.checks import heat
from tests.unit.checks.fake_lab import make_lab
from tests.unit.views.fake_results import expecting, failed, is_way, many, of_each_kind, off, ran


@pytest.mark.parametrize(
    ("rtt_ms", "band"),
    [(0.01, 0), (0.99, 0), (1, 1), (2.9, 1), (3, 2), (10, 3), (30, 4), (99.9, 4), (100, 5)],
)
def test_a_round_trip_has_its_band(rtt_ms: float, band: int) -> None:
    assert heat.band_of_rtt(rtt_ms) == band


@pytest.mark.parametrize(
    ("rtt_ms", "text"),
    [(0.04, "0.0"), (1.26, "1.3"), (99.94, "99.9"), (99.96, "100"), (1234.5, "1234")],
)
def test_a_round_trip_is_short(rtt_ms: float, text: str) -> None:
    assert heat.rtt_text(rtt_ms) == text


def test_a_cell_is_as_bad_as_the_worst_of_its_checks() -> None:
    first, second = heat.build_grids(make_lab(), ran(spoil=of_each_kind).results)
    assert first.cells["controller", "compute1"] == heat.Cell(CheckStatus.PASSED, "", 1.4)
    assert first.cells["controller", "compute2"] == heat.Cell(CheckStatus.FAILED, "some lost", 41.5)
    assert first.cells["compute2", "compute1"] == heat.Cell(CheckStatus.FAILED, "ssh", 12.0)
    assert second.cells["controller", "compute1"] == heat.Cell(CheckStatus.FAILED, "lost", None)
    assert second.cells["compute1", "compute2"] == heat.Cell(CheckStatus.FAILED, "mtu", 0.3)
    assert first.bad == (("controller", "compute2"), ("compute2", "compute1"))
    assert first.slowest == ("controller", "compute2")


def test_a_lost_ping_is_the_word_whatever_else_fails() -> None:
    def spoil(result: CheckResult) -> CheckResult:
        kinds = (CheckKind.PING, CheckKind.MTU, CheckKind.SSH)
        is_one = any(is_way(result, "controller", "compute1", "net0", kind) for kind in kinds)
        return failed(result, "x") if is_one else result

    results = ran(spoil=spoil).results
    for order in (results, results[::-1]):
        grid = next(each for each in heat.build_grids(make_lab(), order) if each.network == "net0")
        assert grid.cells["controller", "compute1"].text == "lost"


def test_what_had_no_answer_is_a_question_mark_and_less_grave_than_a_failure() -> None:
    grid = heat.build_grids(make_lab(), ran(spoil=off("compute1")).results)[0]
    assert grid.cells["compute1", "controller"].text == "?"
    assert grid.cells["controller", "compute1"].text == "lost"
    passed, error = heat.Cell(CheckStatus.PASSED, "", 1.0), heat.Cell(CheckStatus.ERROR, "?")
    assert passed.joined(error) == error.joined(passed) == heat.Cell(CheckStatus.ERROR, "?", 1.0)
    lost = heat.Cell(CheckStatus.FAILED, "lost")
    assert error.joined(lost).status is lost.joined(error).status is CheckStatus.FAILED


def test_what_many_fail_at_is_told_apart_from_the_rest() -> None:
    found = ran(many(6), lambda result: of_each_kind(off("compute4")(result)))
    mute, deaf, left = heat.split_failures(heat.build_grids(found.lab, found.results)[0])
    assert (mute, deaf) == (["compute4"], ["compute4"])
    assert left == [("controller", "compute2"), ("compute2", "compute1")]


def test_a_network_without_pairs_has_no_grid() -> None:
    assert heat.build_grids(make_lab(), []) == ()


LINK_DOWN = Fault(kind=FaultKind.LINK_DOWN, node="compute1", device="eth1", network="net1")


def test_what_a_fault_cuts_is_cut_and_not_fine() -> None:
    lab = make_lab()
    for order in (1, -1):
        found = heat.build_grids(lab, ran(lab, expecting(lab, LINK_DOWN)).results[::order])
        first, second = sorted(found, key=lambda grid: grid.network)
        cut = heat.Cell(CheckStatus.PASSED, "cut")
        assert {pair for pair, cell in second.cells.items() if cell == cut and cell.is_cut} == {
            ("controller", "compute1"),
            ("compute1", "controller"),
            ("compute1", "compute2"),
            ("compute2", "compute1"),
        }
        assert second.caption.startswith(
            "net1 10.20.0.0/24: 2 of 6 ways fine, 4 cut, slowest 12.0 ms"
        )
        # its routes may be others, by whichever NIC
        assert first.cells["compute1", "controller"].text == "2.6 cut?"
        assert first.cells["controller", "compute1"].text == "1.4"
        assert first.caption.startswith("net0 10.10.0.0/24: 6 of 6 ways fine, slowest")
        assert first.bad == second.bad == ()


def test_a_fault_that_cuts_nothing_is_told_in_its_cell() -> None:
    lab = make_lab()
    outage = Outage(lab, [LINK_DOWN])
    grid = heat.build_grids(lab, [outage.as_expected(result) for result in ran(lab).results])[1]
    assert grid.cells["controller", "compute1"].text == "2.6 not cut"
    assert len(grid.bad) == 4


def test_what_is_cut_says_more_than_what_might_be() -> None:
    maybe, cut = heat.Cell(CheckStatus.PASSED, "cut?"), heat.Cell(CheckStatus.PASSED, "cut")
    assert maybe.joined(cut) == cut.joined(maybe) == cut
    assert cut.joined(heat.Cell(CheckStatus.FAILED, "mtu")).word == "mtu"
