"""One cause, told once.

What it explains, what was found out, and the error that a run ends with.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest

from stacklab.checks.explain.causes import Explained, causes, raise_for
from stacklab.checks.result import Check, CheckKind, CheckResult, CheckStatus, Reason
from stacklab.errors import CheckFailed, CheckWarned, NotChecked
from stacklab.model.cause import Cause, CauseKind
from tests.unit.views.fake_results import count_bad, dead, down, many, of_each_kind, ran

FAULT = Cause(CauseKind.FAULT, "lab.fault link-down compute1 eth1")
X = Cause(CauseKind.NIC_DOWN, "x")


def result(
    kind: CheckKind,
    node: str,
    target: str = "",
    *,
    clues: Iterable[str] = (),
    cause: str = "x",
    command: str = "type",
) -> CheckResult:
    check = Check(kind=kind, node=node, target=target, network="net1" if target else "")
    found = CheckResult(
        check=check,
        status=CheckStatus.FAILED,
        reason=Reason.NO_REPLY,
        detail="",
        command=command,
    )
    return found.explained(Cause(CauseKind.NIC_DOWN, cause) if cause else None, clues)


def scope(*ways: str) -> str:
    """How pings on those ways are told."""
    pings = [result(CheckKind.PING, *way.split(">")) for way in ways]
    return Explained(cause=X, results=tuple(pings)).scope.removeprefix("ping on net1; ")


def test_what_explains_the_most_stands_first_and_what_has_none_is_in_none() -> None:
    one, two, three = (
        result(CheckKind.PING, node, cause=cause) for node, cause in ("ax", "by", "cy")
    )
    none = result(CheckKind.PING, "d", cause="", clues=["no cause: z"])
    assert causes([one, two, none, three]) == (
        Explained(cause=Cause(CauseKind.NIC_DOWN, "y"), results=(two, three)),
        Explained(cause=X, results=(one,)),
    )
    assert none.evidence == none.clues == "no cause: z"


def test_where_nothing_was_found_out_the_evidence_stays() -> None:
    had = result(CheckKind.PING, "a", cause="", clues=["its own"])
    assert had.explained(None, []) == had


def test_what_passed_has_no_cause_whatever_its_evidence_says() -> None:
    passed = CheckResult(
        check=Check(kind=CheckKind.DISK, node="a"),
        status=CheckStatus.WARNED,
        reason=Reason.UNPROVED,
        detail="",
        cause=X,
    )
    assert causes([passed]) == ()


@pytest.mark.parametrize(
    ("ways", "told"),
    [
        ("a>b", "a -> b"),
        ("a>b b>a", "a <-> b"),
        ("a>c b>c", "a, b -> c"),
        ("b>a c>a a>b a>c", "a <-> b, c"),
        ("a>b b>a a>c", "a <-> b; a -> c"),
        ("a>c c>a a>d d>a b>c c>b b>d d>b", "a, b <-> c, d"),
        ("a>b b>a a>c c>a b>c c>b", "a <-> b, c; b <-> c"),
        ("a>b b>c c>a", "a -> b; b -> c; c -> a"),
        ("x>a x>b x>c x>d x>e x>f x>g", "x -> a, b, c, d, e, f, g"),
        ("x>a x>b x>c x>d x>e x>f x>g x>h", "x -> a, b, c, d, e, f and 2 more"),
        ("a>b c>d e>f g>h i>j", "a -> b; c -> d; e -> f; 2 more nodes"),
    ],
)
def test_ways_are_told_as_stars(ways: str, told: str) -> None:
    assert scope(*ways.split()) == told


def test_a_cause_tells_kinds_pairs_and_what_nodes_fail_at() -> None:
    (cause,) = causes(ran(many(12), dead("compute2")).results)
    assert cause.cause.text == "compute2 is shut off (crashed)"
    assert cause.scope == (
        "ping, mtu, source, port, name, ssh on net0, net1;"
        " compute2 <-> controller, compute1, compute3, compute4, "
        "compute5, compute6 and 5 more; state, login, hostname, disk, nic, clock of compute2"
    )


def test_nodes_that_fail_at_the_same_are_told_together() -> None:
    found = [
        result(kind, node) for node in ("a", "b") for kind in (CheckKind.ROUTES, CheckKind.NIC)
    ]
    assert (
        Explained(cause=X, results=(*found, result(CheckKind.NIC, "c"))).scope
        == "nic, routes of a, b; nic of c"
    )


def test_evidence_is_told_once_what_most_have_in_common_first() -> None:
    found = (
        result(CheckKind.MTU, "a", "b", clues=["a: up", "b: down", "a: other"]),
        result(CheckKind.PING, "c", "b", clues=["c: up", "b: down", "c: ARP"]),
        result(CheckKind.MTU, "c", "b", clues=["c: up", "b: down"]),
        result(CheckKind.LOGIN, "b", clues=["domain: off", "  | console"]),
    )
    assert Explained(cause=X, results=found).evidence.splitlines() == [
        "domain: off",
        "  | console",
        "b: down",
        "c: up",
        "c: ARP",
        "a: up",
        "a: other",
    ]
    assert Explained(cause=X, results=(result(CheckKind.PING, "a", "b"),)).evidence == ""


def test_the_host_s_own_word_of_a_node_shows_a_cause_best() -> None:
    ping, nic = result(CheckKind.PING, "a", "b"), result(CheckKind.NIC, "b")
    state, mute = result(CheckKind.STATE, "b"), result(CheckKind.STATE, "b", command="")
    assert Explained(cause=X, results=(ping, nic, state)).first is state
    assert Explained(cause=X, results=(ping, nic, mute)).first is nic
    assert Explained(cause=X, results=(mute,)).first is mute


def test_two_hundred_nodes_split_in_halves_are_told_at_once() -> None:
    names = [f"n{number}" for number in range(200)]
    ways = [
        f"{a}>{b}"
        for a in names
        for b in names
        if (names.index(a) < 100) is not (names.index(b) < 100)
    ]
    began = time.process_time()
    assert scope(*ways) == (
        "n0, n1, n2, n3, n4, n5 and 94 more <-> n100, n101, n102, n103, n104, n105 and 94 more"
    )
    assert time.process_time() - began < 3


# --- what is raised


def test_one_cause_of_all_is_told_in_one_line() -> None:
    found = ran(spoil=down("compute1", "net1", "eth1"))
    bad, total = count_bad(found), len(found.results)
    with pytest.raises(CheckFailed) as caught:
        raise_for(found.results, hint="look")
    (cause,) = causes(found.results)
    assert caught.value.message == (
        f"{bad} of {total} checks did not pass: {bad} {cause.because} ({cause.scope})"
    )
    assert caught.value.hint == "look"
    with pytest.raises(CheckFailed, match=f"{bad} because of {FAULT} "):
        raise_for(ran(spoil=down("compute1", "net1", "eth1", FAULT)).results)


def test_causes_stand_before_what_has_none() -> None:
    alone = CheckResult(
        check=Check(kind=CheckKind.DISK, node="b"),
        status=CheckStatus.FAILED,
        reason=Reason.FULL,
        detail="full",
    )
    found = ran(spoil=down("compute1", "net1", "eth1"))
    bad, total = count_bad(found), len(found.results)
    with pytest.raises(CheckFailed) as caught:
        raise_for([alone, *found.results])
    head, first, last = caught.value.message.splitlines()
    assert head == f"{bad + 1} of {total + 1} checks did not pass:"
    assert first.startswith(f"  {bad} because ")
    assert last == "  b: disk: full"


def test_many_causes_are_cut_with_their_number() -> None:
    found = [result(CheckKind.DISK, "a", cause=f"cause {number}") for number in range(14)]
    with pytest.raises(CheckFailed) as caught:
        raise_for(found)
    lines = caught.value.message.splitlines()
    assert len(lines) == 12
    assert lines[-1] == "  and 4 more causes"


def test_the_error_names_the_failing_cells_by_address_and_interface() -> None:
    found = ran(spoil=of_each_kind)
    with pytest.raises(CheckFailed) as caught:
        raise_for(found.results)
    lines = caught.value.message.splitlines()
    assert lines[0] == f"{count_bad(found)} of {len(found.results)} checks did not pass:"
    assert "  controller eth1 -> compute1 10.20.0.12 (net1): ping: no reply to 3 pings" in lines
    # what failed stands before what was not reached
    assert ["not reached" in line for line in lines[1:]] == [False] * 4 + [True] * 3


def test_a_long_list_is_cut_with_its_number() -> None:
    bad = [result(CheckKind.DISK, f"n{number}", cause="") for number in range(30)]
    with pytest.raises(CheckFailed, match="and 20 more"):
        raise_for(bad)


def test_what_had_no_answer_and_what_is_warned_of_are_errors_of_their_own() -> None:
    check = Check(kind=CheckKind.DISK, node="a")
    error, warned = (
        CheckResult(check=check, status=s, reason=Reason.NO_ANSWER, detail="why")
        for s in (CheckStatus.ERROR, CheckStatus.WARNED)
    )
    with pytest.raises(NotChecked, match="1 of 2 checks could not be tried:\n  a: disk: why"):
        raise_for([warned, error])
    with pytest.raises(CheckWarned, match="1 of 1 checks passed with a warning:\n  a: disk: why"):
        raise_for([warned])
    raise_for([warned], warnings=False)
    raise_for([])
