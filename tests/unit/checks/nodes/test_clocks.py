from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacklab.checks.nodes import clocks as node_clocks
from stacklab.checks.result import Check, CheckKind, CheckStatus, Reason
from stacklab.nodes.protocol import Answer, Said
from tests.unit.checks.nodes.said import ERROR, FAILED, LAB, NOW, PASSED, WARNED

# clocks


def clocks(offsets: Mapping[str, float]) -> dict[str, tuple[CheckStatus, Reason]]:
    checks = [Check(kind=CheckKind.CLOCK, node=node.name) for node in LAB.nodes]
    return {r.check.node: (r.status, r.reason) for r in node_clocks.judge(checks, offsets)}


def test_clocks_that_agree() -> None:
    assert clocks({"controller": 0.1, "compute1": -0.1, "compute2": 0.35}) == {
        "controller": (PASSED, Reason.OK),
        "compute1": (PASSED, Reason.OK),
        "compute2": (PASSED, Reason.OK),
    }


def test_the_one_clock_that_is_off_fails_and_the_others_do_not() -> None:
    assert clocks({"controller": 0.0, "compute1": -5.0, "compute2": 0.02}) == {
        "controller": (PASSED, Reason.OK),
        "compute1": (FAILED, Reason.CLOCK_OFF),
        "compute2": (PASSED, Reason.OK),
    }


def test_of_two_clocks_the_host_tells_which_is_off() -> None:
    found = clocks({"controller": 0.1, "compute1": 3.0})
    assert found["compute1"] == (FAILED, Reason.CLOCK_OFF)
    assert found["controller"] == (PASSED, Reason.OK)
    assert found["compute2"] == (ERROR, Reason.NO_ANSWER)


def test_nodes_that_agree_pass_though_the_host_is_off() -> None:
    assert {
        status
        for status, _ in clocks(
            dict.fromkeys(("controller", "compute1", "compute2"), 90.0)
        ).values()
    } == {PASSED}


def test_a_host_that_is_off_does_not_blame_the_wrong_node() -> None:
    found = clocks({"controller": 90.0, "compute1": 90.1, "compute2": 94.0})
    assert {name: status for name, (status, _) in found.items()} == {
        "controller": PASSED,
        "compute1": PASSED,
        "compute2": FAILED,
    }


def test_a_node_asked_alone_is_held_against_the_host() -> None:
    assert clocks({"compute1": -0.2})["compute1"] == (PASSED, Reason.OK)
    assert clocks({"compute1": -4.0})["compute1"] == (WARNED, Reason.CLOCK_OFF)


@given(
    st.dictionaries(
        st.sampled_from(["controller", "compute1", "compute2"]), st.floats(-9, 9), min_size=2
    )
)
def test_of_any_two_clocks_too_far_apart_one_fails(offsets: dict[str, float]) -> None:
    found = clocks(offsets)
    names = sorted(offsets)
    for first in names:
        for second in names:
            if abs(offsets[first] - offsets[second]) >= node_clocks.MOST_SKEW_S:
                assert FAILED in (found[first][0], found[second][0])


@given(
    st.dictionaries(
        st.sampled_from(["controller", "compute1", "compute2"]), st.floats(-0.24, 0.24), min_size=2
    )
)
def test_clocks_that_are_near_each_other_never_fail(offsets: dict[str, float]) -> None:
    assert FAILED not in {status for status, _ in clocks(offsets).values()}


@pytest.mark.parametrize(
    ("lines", "offset"),
    [
        (("1800000000.25",), 0.25),
        (("date: invalid",), None),
        ((), None),
        (("nan",), None),
        (("inf",), None),
    ],
)
def test_an_offset_is_what_the_node_said_less_when_it_came(
    lines: tuple[str, ...], offset: float | None
) -> None:
    answer = Answer(said={"nodes.clock": Said(lines=lines, code=0, heard_at=NOW)})
    assert node_clocks.offset_s(answer) == offset


@pytest.mark.parametrize(("first_late", "later_late"), [(0.9, 0.02), (0.02, 0.9)])
def test_of_two_looks_at_a_clock_the_one_that_came_fastest_counts(
    first_late: float, later_late: float
) -> None:
    def look_at(ahead: float, late: float) -> Said:
        return Said(lines=(str(NOW + ahead),), code=0, heard_at=NOW + late)

    for ahead in (0.0, -5.0, 5.0):
        said = {
            "nodes.clock": look_at(ahead, first_late),
            "nodes.clock.later": look_at(ahead, later_late),
        }
        assert node_clocks.offset_s(Answer(said=said)) == pytest.approx(ahead - 0.02, abs=1e-3)
