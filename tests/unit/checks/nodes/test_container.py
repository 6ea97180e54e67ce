"""A node that is a container: judged by what is its own, not by what is its host's."""

from __future__ import annotations

import dataclasses

import pytest

from stacklab.checks.nodes import family as nodes
from stacklab.checks.nodes import look as nodes_look
from stacklab.checks.nodes.machine import uptime_s
from stacklab.checks.result import CheckKind, CheckStatus, Layer, Reason
from stacklab.model.lab import Lab, NodeKind
from tests.unit.checks.fake_lab import make_lab
from tests.unit.checks.nodes.said import (
    ERROR,
    FAILED,
    NOW,
    PASSED,
    WARNED,
    answer_of,
    judged,
    lines_of,
    said,
)

VMS = make_lab(retries=0)
LAB = VMS.all_as(NodeKind.CONTAINER)
CONTAINER = LAB.node("controller")
OF_THE_HOST = {CheckKind.MEMORY, CheckKind.DISK, CheckKind.SWAP}


def with_cpus(lab: Lab, cpus: int) -> Lab:
    return dataclasses.replace(
        lab, nodes=tuple(dataclasses.replace(node, cpus=cpus) for node in lab.nodes)
    )


def test_only_what_is_a_container_s_own_is_expected_of_it() -> None:
    mixed = dataclasses.replace(LAB, nodes=(LAB.nodes[0], *VMS.nodes[1:]))
    kinds = {
        node.name: {each.kind for each in nodes.expected(mixed) if each.node == node.name}
        for node in mixed.nodes
    }
    # None of these nodes has further disks.
    of_nodes = {kind for kind in CheckKind if kind.layer is Layer.NODES}
    of_nodes -= {CheckKind.FURTHER_DISK}
    assert kinds == {
        "controller": of_nodes - OF_THE_HOST,
        "compute1": of_nodes,
        "compute2": of_nodes,
    }


def test_a_healthy_container_passes_what_is_expected_of_it() -> None:
    results = judged(answer_of(lines_of(LAB)), LAB)
    asked = {kind for kind, _device in results} - {CheckKind.USER, CheckKind.HOSTNAME}
    assert asked == {CheckKind.UPTIME, CheckKind.CPUS, CheckKind.ROOT} | {
        CheckKind.NIC,
        CheckKind.ROUTES,
    }
    assert {results[key].status for key in results if key[0] in asked} == {PASSED}


def test_what_a_container_says_would_not_pass_for_a_vm() -> None:
    results = judged(answer_of(lines_of(LAB)), VMS)
    for kind in (CheckKind.CPUS, *OF_THE_HOST):
        assert results[kind, ""].status is not PASSED, kind


# CPUs


@pytest.mark.parametrize(
    ("declared", "allowed", "present", "expected"),
    [
        (2, "0-1", "0-63", (PASSED, Reason.OK)),
        (2, "5,9", "0-63", (PASSED, Reason.OK)),
        (2, "0", "0-63", (FAILED, Reason.TOO_FEW)),
        (2, "0-63", "0-63", (FAILED, Reason.TOO_MANY)),
        (1, "0-1", "0-1", (FAILED, Reason.TOO_MANY)),
        (4, "0-1", "0-1", (WARNED, Reason.TOO_FEW)),  # the host has no more
        (4, "0-1", "0-2", (FAILED, Reason.TOO_FEW)),
        (2, "", "0-63", (ERROR, Reason.NO_ANSWER)),
        (2, "0-1", "", (ERROR, Reason.NO_ANSWER)),
        (2, "x", "0-63", (ERROR, Reason.NO_ANSWER)),
    ],
)
def test_cpus_are_those_that_it_may_use(
    declared: int, allowed: str, present: str, expected: tuple[CheckStatus, Reason]
) -> None:
    lines = ["online 0-63", f"present {present}", f"allowed {allowed}"]
    result = judged(answer_of(lines), with_cpus(LAB, declared))[CheckKind.CPUS, ""]
    assert (result.status, result.reason) == expected


def test_a_vm_s_cpus_are_those_that_are_online_whatever_a_process_may_use() -> None:
    lines = ["online 0-1", "present 0-1", "allowed 0"]
    assert judged(answer_of(lines), with_cpus(VMS, 2))[CheckKind.CPUS, ""].status is PASSED


# uptime


def test_a_container_is_up_since_its_first_process_began() -> None:
    look = nodes_look.parse(["uptime 94000.25 7000.5", "began 9000000"])
    assert uptime_s(CONTAINER, look) == 4000.25
    assert uptime_s(VMS.node("controller"), look) == 94000.25


@pytest.mark.parametrize(
    "lines", [["uptime 94000.25 7000.5"], ["uptime 94000.25 7000.5", "began x"], ["began 5"], []]
)
def test_without_both_numbers_nobody_knows(lines: list[str]) -> None:
    assert uptime_s(CONTAINER, nodes_look.parse(lines)) is None
    result = judged(answer_of(lines), LAB)[CheckKind.UPTIME, ""]
    assert (result.status, result.reason) == (ERROR, Reason.NO_ANSWER)


def test_a_container_that_booted_again_is_warned_of_though_its_host_did_not() -> None:
    look = nodes_look.parse(["uptime 94000.25 7000.5", "began 9390000"])
    verdict = nodes.judge_uptime(uptime_s(CONTAINER, look), NOW, answered_at=NOW - 3700)
    assert (verdict.status, verdict.reason) == (WARNED, Reason.BOOTED_AGAIN)


# root


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("rw,relatime", "ro,relatime", (FAILED, Reason.READ_ONLY)),
        ("241591910", "0", (FAILED, Reason.FULL)),
        ("3135535", "0", (FAILED, Reason.FULL)),
    ],
)
def test_a_root_that_can_t_be_written_to_fails(
    old: str, new: str, expected: tuple[CheckStatus, Reason]
) -> None:
    assert said(CheckKind.ROOT, {old: new}, lab=LAB) == expected
