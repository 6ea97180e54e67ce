from __future__ import annotations

import dataclasses

import pytest

from stacklab.checks.explain.causes import causes
from stacklab.checks.outcome import Outcome
from stacklab.checks.result import HOST, Check, CheckKind, CheckResult, CheckStatus, Reason
from stacklab.model.cause import Cause, CauseKind
from stacklab.views.checks import failures
from tests.unit.checks.fake_lab import make_lab
from tests.unit.views.fake_results import dead, down, many, of_each_kind, off, ran


def test_causes_stand_before_effects_and_failures_before_what_had_no_answer() -> None:
    groups = failures.group_failures(ran(many(6), off("compute2")).results)
    told = [
        (group.first.status.value, group.first.check.kind.value, len(group.results))
        for group in groups
    ]
    assert told == [
        ("failed", "state", 1),
        ("failed", "login", 1),
        ("failed", "ping", 5),
        ("failed", "ssh", 5),
        ("failed", "ping", 5),
        ("failed", "ssh", 5),
        ("error", "hostname", 64),
    ]


def test_a_few_alike_are_told_each_on_its_own() -> None:
    groups = failures.group_failures(ran(many(4), off("compute2")).results)
    assert [len(group.results) for group in groups if group.first.check.kind is CheckKind.PING] == [
        1
    ] * 6


def test_every_bad_result_is_in_one_group() -> None:
    for found in (ran(many(6), off("compute2")), ran(spoil=of_each_kind)):
        listed = [
            result for group in failures.group_failures(found.results) for result in group.results
        ]
        assert sorted(map(id, listed)) == sorted(
            id(result) for result in found.results if not result.is_passed
        )


def test_a_group_names_some_of_its_nodes() -> None:
    groups = failures.group_failures(ran(many(12), off("compute2")).results)
    titles = [group.title for group in groups]
    assert titles[2] == (
        "11 nodes -> compute2 10.10.0.13 (net0): ping: from controller eth0, compute1 eth0,"
        " compute3 eth0, compute4 eth0, compute5 eth0, compute6 eth0 and 5 more"
    )
    kinds = "hostname, disk, nic, clock, ping, mtu, source, port, name, ssh"
    assert titles[-1] == f"compute2: {len(groups[-1].results)} checks ({kinds})"


def result(kind: CheckKind, command: str, node: str = "compute1") -> CheckResult:
    return CheckResult(
        check=Check(kind=kind, node=node),
        status=CheckStatus.FAILED,
        reason=Reason.FULL,
        detail="x",
        command=command,
    )


def test_what_to_type_is_typed_on_this_host() -> None:
    lab = make_lab()
    said = failures.command_to_try(lab, result(CheckKind.DISK, "df -h | grep '/$'"))
    assert said == "./invoke lab.exec trio --node compute1 -- 'df -h | grep '\"'\"'/$'\"'\"''"
    assert (
        failures.command_to_try(lab, result(CheckKind.STATE, "virsh domstate x"))
        == "virsh domstate x"
    )
    assert (
        failures.command_to_try(lab, result(CheckKind.HOST_APART, "ping x", node=HOST)) == "ping x"
    )
    assert failures.command_to_try(lab, result(CheckKind.DISK, "")) == ""


def test_a_warning_of_several_nodes_is_told_once() -> None:
    results = [
        CheckResult(
            check=Check(kind=CheckKind.REACH, node=node, subject="git.example.org:443"),
            status=CheckStatus.WARNED,
            reason=Reason.HOST_FAILS_TOO,
            detail=f"neither the host nor {node} reaches git.example.org:443",
        )
        for node in ("one", "two", "three")
    ]
    (group,) = failures.group_warnings(results)
    assert group.title == "3 nodes: reach git.example.org:443: from one, two, three"
    assert len(set(group.details)) == 1
    slow = dataclasses.replace(results[0], reason=Reason.TIMED_OUT)
    assert len(failures.group_warnings([*results, slow])) == 2


def test_what_has_a_cause_is_in_no_group() -> None:
    assert failures.group_failures(ran(spoil=down("compute1", "net1", "eth1")).results) == []
    assert failures.group_failures(ran(many(6), dead("compute2")).results) == []


def test_a_cause_has_one_command() -> None:
    fault = Cause(CauseKind.FAULT, "lab.fault link-down compute1 eth1")

    def typed(found: Outcome) -> str:
        (cause,) = causes(found.results)
        return failures.command_to_repair(found.lab, cause)

    assert typed(ran(spoil=down("compute1", "net1", "eth1", fault))) == (
        "./invoke lab.fault trio --undo"
    )
    assert typed(ran(spoil=down("compute1", "net1", "eth1"))) == (
        "./invoke lab.exec trio --node controller -- 'fping -C 3 10.20.0.12'"
    )
    assert typed(ran(spoil=dead("compute1"))) == "virsh domstate --reason trio_compute1"


@pytest.mark.parametrize(
    ("status", "output", "said"),
    [
        (CheckStatus.WARNED, "environment: line 2: git.example.org: Name or service not known", ""),
        (
            CheckStatus.WARNED,
            "bash: line 1: /dev/tcp/x/443: Invalid argument\n94% full",
            "94% full",
        ),
        (
            CheckStatus.FAILED,
            "bash: connect: Connection refused",
            "bash: connect: Connection refused",
        ),
    ],
)
def test_what_a_shell_says_of_itself_is_not_told_with_a_warning(
    status: CheckStatus, output: str, said: str
) -> None:
    assert (
        failures.output_to_read(
            dataclasses.replace(result(CheckKind.REACH, "x"), status=status, output=output)
        )
        == said
    )
