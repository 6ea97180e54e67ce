from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacklab.checks import plan
from stacklab.checks.family import Facts
from stacklab.checks.nodes import family as nodes
from stacklab.checks.result import Check, CheckKind, Layer, Reason
from stacklab.nodes.protocol import Answer, Said
from tests.unit.checks.nodes.said import (
    ERROR,
    LAB,
    NODE,
    NOW,
    PASSED,
    WARNED,
    answer_of,
    judged,
    lines_of,
)

# what is asked


def test_every_kind_of_the_layer_is_promised_of_every_node_and_a_nic_check_per_nic() -> None:
    for node in LAB.nodes:
        kinds = [check.kind for check in nodes.expected(LAB) if check.node == node.name]
        # None of these nodes has further disks.
        promised = {kind for kind in CheckKind if kind.layer is Layer.NODES}
        assert promised - {CheckKind.FURTHER_DISK} == set(kinds)
        assert kinds.count(CheckKind.NIC) == 2
        assert len(kinds) == len(set(kinds)) + 1
    nics = [check for check in nodes.expected(LAB) if check.kind is CheckKind.NIC]
    assert nics[1].title == "controller eth1 10.20.0.11 (net1): nic"


def test_each_check_of_a_node_has_one_result_but_those_that_the_mesh_judges() -> None:
    of_the_mesh = {CheckKind.STATE, CheckKind.LOGIN, CheckKind.CLOCK}
    checks = [
        c for c in nodes.expected(LAB) if c.node == "controller" and c.kind not in of_the_mesh
    ]
    found = [r.check for r in nodes.judge(LAB, checks, Answer(), Facts())]
    assert found == checks


@pytest.mark.parametrize(
    ("kind", "has", "lacks"),
    [
        (CheckKind.UPTIME, "show /proc/uptime\nbegan", "run "),
        (CheckKind.CPUS, "/cpu/present\nallowed", "uptime"),
        (CheckKind.SWAP, "run proc", "run addr"),
        (CheckKind.ROOT, "run fs", "run addr"),
        (CheckKind.NIC, "run addr", "run route"),
        (CheckKind.ROUTES, "run route", "run fs"),
    ],
)
def test_a_node_runs_no_more_than_the_wanted_checks_need(
    kind: CheckKind, has: str, lacks: str
) -> None:
    (part,) = nodes.parts(LAB, NODE, [Check(kind=kind, node="controller")], Facts())
    calls = part.shell[part.shell.rindex("\n}\n") :]
    assert has in calls
    assert lacks not in calls


def test_without_checks_there_is_nothing_to_run() -> None:
    assert list(nodes.parts(LAB, NODE, [], Facts())) == []


def test_the_clock_is_read_after_all_other_looks() -> None:
    checks = [
        check
        for check in plan.expected(LAB)
        if check.node == "controller" and check.kind.layer is Layer.NODES
    ]
    tags = [part.tag for part in nodes.parts(LAB, NODE, checks, Facts()) if part.phase == 0]
    assert tags == ["nodes.look", "nodes.hostname", "nodes.user", "nodes.clock"]


# what is said


def test_a_healthy_node_passes_all_of_it() -> None:
    user, name = Said(lines=("stack", "sudo 0"), code=0), Said(lines=("controller",), code=0)
    results = judged(answer_of(lines_of(), **{"nodes.user": user, "nodes.hostname": name}))
    assert {result.status for result in results.values()} == {PASSED}
    assert {
        kind: result.reason for (kind, device), result in results.items() if device != "eth0"
    } == {
        CheckKind.USER: Reason.OK,
        CheckKind.HOSTNAME: Reason.OK,
        CheckKind.UPTIME: Reason.OK,
        CheckKind.CPUS: Reason.OK,
        CheckKind.MEMORY: Reason.OK,
        CheckKind.DISK: Reason.OK,
        CheckKind.ROOT: Reason.OK,
        CheckKind.SWAP: Reason.OK,
        CheckKind.NIC: Reason.OK,
        CheckKind.ROUTES: Reason.OK,
    }


def test_what_was_cut_off_is_no_answer_though_a_part_of_it_came() -> None:
    results = judged(answer_of(lines_of()[:-5], code=None))
    assert {result.status for result in results.values()} == {ERROR}
    assert results[CheckKind.CPUS, ""].reason == Reason.SESSION_ENDED


@given(st.integers(0, 40), st.integers(0, 60), st.text())
def test_whatever_a_node_says_each_check_has_one_result(begin: int, end: int, garbage: str) -> None:
    lines = [*lines_of()[begin:end], *garbage.splitlines(), *lines_of()[end:begin]]
    assert len(judged(answer_of(lines))) == 11


@given(
    st.lists(
        st.sampled_from([word for line in lines_of() for word in line.split(" ")]), max_size=60
    )
)
def test_words_in_any_order_break_no_judge(words: list[str]) -> None:
    lines = re.split(r"(?=@begin|@end|block|nic|fs|mount|uptime)", " ".join(words))
    assert len(judged(answer_of([line.strip() for line in lines]))) == 11


@pytest.mark.parametrize(
    ("lines", "kind", "reason"),
    [
        (
            ["@begin addr", "sh: 1: ip: not found", "@end 127"],
            CheckKind.NIC,
            Reason.PROGRAM_MISSING,
        ),
        (
            ["@begin route", "Cannot open netlink", "@end 1"],
            CheckKind.ROUTES,
            Reason.PROGRAM_FAILED,
        ),
        (["@begin fs", "stat: not found", "@end 127"], CheckKind.ROOT, Reason.PROGRAM_MISSING),
        (["@begin proc", "sed: not found", "@end 127"], CheckKind.MEMORY, Reason.PROGRAM_MISSING),
        (["@begin addr", "@end 0"], CheckKind.NIC, Reason.NO_ANSWER),
        (["nic eth1 52:54:00:00:00:01 1500 0x1003 1"], CheckKind.NIC, Reason.NO_ANSWER),
        ([], CheckKind.SWAP, Reason.NO_ANSWER),
        ([], CheckKind.CPUS, Reason.NO_ANSWER),
        ([], CheckKind.UPTIME, Reason.NO_ANSWER),
    ],
)
def test_a_look_that_failed_is_an_error_not_a_failure(
    lines: list[str], kind: CheckKind, reason: Reason
) -> None:
    device = "eth1" if kind is CheckKind.NIC else ""
    result = judged(answer_of(lines))[kind, device]
    assert (result.status, result.reason) == (ERROR, reason)


# uptime


def test_a_node_that_booted_after_lab_up_saw_it_answer_is_warned_of() -> None:
    assert nodes.judge_uptime(100.0, NOW, answered_at=NOW - 60).status is PASSED
    assert nodes.judge_uptime(100.0, NOW, answered_at=NOW - 101).status is PASSED
    again = nodes.judge_uptime(100.0, NOW, answered_at=NOW - 3700)
    assert (again.status, again.reason) == (WARNED, Reason.BOOTED_AGAIN)
    assert "lab.up saw it answer at 2027-01-15 06:58:20 UTC" in again.detail
