"""Disks that a node has beside the one it boots from, by their serials."""

from __future__ import annotations

import dataclasses

import pytest

from stacklab.checks.family import Facts
from stacklab.checks.nodes import family as nodes
from stacklab.checks.result import CheckKind, CheckResult, CheckStatus, Reason
from stacklab.model.lab import Disk, DiskBus, Lab, NodeKind, Size
from tests.unit.checks.nodes.said import (
    ERROR,
    FAILED,
    LAB,
    NODE,
    PASSED,
    Changes,
    answer_of,
    lines_of,
)

DISKS = (
    Disk(name="disk1", size=Size(1024), serial="disk1"),
    Disk(name="disk2", size=Size(512), bus=DiskBus.SCSI, serial="J_1"),
    Disk(name="quorum", size=Size(32), serial="quorum", is_shared=True),
)


def with_disks(kind: NodeKind = NodeKind.VM) -> Lab:
    node = dataclasses.replace(NODE, disks=DISKS, kind=kind)
    return dataclasses.replace(LAB, nodes=(node, *LAB.nodes[1:]))


def judged(lines: list[str]) -> list[CheckResult]:
    lab = with_disks()
    checks = [check for check in nodes.expected(lab) if check.kind is CheckKind.FURTHER_DISK]
    return list(nodes.judge(lab, checks, answer_of(lines), Facts()))


def said(changes: Changes) -> list[tuple[CheckStatus, Reason]]:
    return [(result.status, result.reason) for result in judged(lines_of(with_disks(), changes))]


def test_each_is_promised_by_its_serial_of_vms_alone() -> None:
    checks = [one for one in nodes.expected(with_disks()) if one.kind is CheckKind.FURTHER_DISK]
    assert [check.title for check in checks] == [
        "controller: further-disk disk1",
        "controller: further-disk J_1",
        "controller: further-disk quorum",
    ]
    kinds = {check.kind for check in nodes.expected(with_disks(NodeKind.CONTAINER))}
    assert CheckKind.FURTHER_DISK not in kinds


def test_a_healthy_node_has_all_of_them() -> None:
    assert said({}) == [(PASSED, Reason.OK)] * 3


def test_they_may_have_other_names_than_their_order_has() -> None:
    changes = {"block vdc": "block sdb", "serial vdc": "serial sdb"}
    assert said(changes) == [(PASSED, Reason.OK)] * 3


def test_one_of_another_size_is_named_with_both() -> None:
    assert said({"block vdc 254:32 2097152": "block vdc 254:32 2048"})[0] == (
        FAILED,
        Reason.TOO_FEW,
    )
    assert said({"block vdd 254:48 1048576": "block vdd 254:48 1050624"})[1] == (
        FAILED,
        Reason.TOO_MANY,
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"serial vdd J_1": "serial vdd J_2"},
        {"serial vdd J_1": "serial vdd "},
        {"serial vdd J_1": "serial vdd J_1 J_1"},
        {"block vdd 254:48 1048576": "block vdd 254:48 many"},
        {"block vdd": "block vdz"},
    ],
)
def test_without_a_disk_of_its_serial_it_is_missing(changes: dict[str, str]) -> None:
    passed = (PASSED, Reason.OK)
    assert said(changes) == [passed, (FAILED, Reason.DISK_MISSING), passed]


def test_a_node_that_told_nothing_of_its_disks_is_an_error() -> None:
    results = judged(["uptime 1.0 1.0"])
    assert [(one.status, one.reason) for one in results] == [(ERROR, Reason.NO_ANSWER)] * 3


def test_a_node_that_tells_no_serials_has_none_of_them() -> None:
    lines = [line for line in lines_of(with_disks()) if not line.startswith("serial")]
    results = judged(lines)
    assert [one.reason for one in results] == [Reason.DISK_MISSING] * 3
    assert results[1].command == "lsblk -b -d -o NAME,SIZE,SERIAL"
