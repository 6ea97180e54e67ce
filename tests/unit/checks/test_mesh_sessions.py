from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence

import pytest

from stacklab.checks import lookout, plan
from stacklab.checks.family import Facts
from stacklab.checks.lookout import States
from stacklab.checks.result import (
    HOST,
    Check,
    CheckKind,
    CheckResult,
    CheckStatus,
    Layer,
    Reason,
    Selection,
)
from stacklab.errors import CommandFailed, CommandTimedOut
from stacklab.model.lab import Lab
from stacklab.model.state import NodeState
from stacklab.nodes.protocol import Answer
from stacklab.process import Command, Result
from tests.unit.checks.fake_lab import FakeRunner, late, make_lab
from tests.unit.checks.fake_node import answer, node_of
from tests.unit.checks.mesh_runs import LAB, RUNNING, FakeSleep, Hooks, check


class FakeNodes(FakeRunner):
    """Nodes that say the first part of a healthy answer, up to `falls_silent`, and then hang."""

    def __init__(self, lab: Lab, *, falls_silent: dict[str, str]) -> None:
        super().__init__(lambda command: answer(lab, command))
        self.falls_silent = falls_silent
        self.silent = threading.Event()

    def converse(
        self,
        command: Command,
        *,
        heard: Callable[[str, float], None],
        why_stop: Callable[[], str] = lambda: "",
    ) -> Result:
        until = self.falls_silent.get(node_of(command))
        if until is None:
            return super().converse(command, heard=heard, why_stop=why_stop)
        for line in self.run(command).stdout.splitlines():
            if until in line:
                break
            heard(line, time.time())
        self.silent.set()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if why := why_stop():
                raise CommandFailed(f"running a script on a node: ssh was ended: {why}\n  ssh ...")
            time.sleep(0.05)
        raise AssertionError("nobody ended it")


@pytest.mark.parametrize("state", [NodeState.OFF, NodeState.PAUSED])
def test_a_node_that_goes_off_mid_check_is_not_waited_for_and_keeps_what_it_answered(
    state: NodeState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookout, "_LOOK_EVERY_S", 0.05)
    lab = make_lab(retries=0)
    nodes = FakeNodes(lab, falls_silent={"compute1": "pairs.logins"})

    def states() -> States:
        return {
            n.name: state if n.name == "compute1" and nodes.silent.is_set() else RUNNING
            for n in lab.nodes
        }

    results = {
        (r.check.node, r.check.kind, r.check.target): r for r in check(lab, nodes, states=states)
    }
    own = {kind: r for (node, kind, *_), r in results.items() if node == "compute1"}
    assert (own[CheckKind.STATE].status, own[CheckKind.STATE].detail) == (
        CheckStatus.FAILED,
        f"is {state}",
    )
    assert own[CheckKind.PING].is_passed
    assert own[CheckKind.LOGIN].is_passed
    assert own[CheckKind.PORT].status is CheckStatus.ERROR
    assert own[CheckKind.SSH].detail == f"the session ended before this check: the node is {state}"
    assert all(r.is_passed for (node, *_), r in results.items() if node != "compute1")


def test_a_session_that_takes_too_long_keeps_what_it_had_answered() -> None:
    lab = make_lab(retries=0)

    class FakeSlow(FakeRunner):
        def converse(
            self,
            command: Command,
            *,
            heard: Callable[[str, float], None],
            why_stop: Callable[[], str] = lambda: "",
        ) -> Result:
            for line in self.run(command).stdout.splitlines():
                if "pairs.logins" in line:
                    break
                heard(line, time.time())
            raise CommandTimedOut(
                "running a script on a node: ssh had no end after 60 s\n  ssh ..."
            )

    results = check(lab, FakeSlow(lambda command: answer(lab, command)))
    by_kind = {r.check.kind: r for r in results}
    assert by_kind[CheckKind.LOGIN].is_passed
    assert by_kind[CheckKind.NAME].is_passed
    assert by_kind[CheckKind.PORT].status is CheckStatus.ERROR
    assert (by_kind[CheckKind.SSH].status, by_kind[CheckKind.SSH].detail) == (
        CheckStatus.ERROR,
        "the session ended before this check: timed out",
    )


def test_an_answer_that_breaks_a_judge_costs_no_other_node_s_results(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was a traceback: no report, and what all other nodes had answered was lost."""
    judge = plan.FAMILIES.judge

    def stub_breaks(
        lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts
    ) -> Iterable[CheckResult]:
        if checks and checks[0].node == "compute1":
            return [CheckResult(check=checks[0], status=CheckStatus.PASSED, detail=f"{int('x')}")]
        return judge(lab, checks, answer, facts)

    monkeypatch.setattr(plan.FAMILIES, "judge", stub_breaks)
    lab = make_lab(retries=0)
    results = check(lab, FakeRunner(lambda c: answer(lab, c)))
    broken = [r for r in results if r.check.node == "compute1" and r.status is CheckStatus.ERROR]
    assert len(broken) > 5
    assert {r.detail for r in broken if r.check.kind is not CheckKind.CLOCK} == {broken[0].detail}
    assert broken[0].detail.startswith(
        "its answer can't be read: ValueError in test_mesh_sessions.py:"
    )
    assert all(r.is_passed for r in results if r.check.node not in ("compute1", HOST))


def test_a_session_has_more_time_where_delays_are_declared() -> None:
    limits = []
    for lab in (LAB, late(LAB, 5000)):
        runner = FakeRunner(lambda command, lab=lab: answer(lab, command))  # type: ignore[misc]
        check(lab, runner, selection=Selection(layers=frozenset({Layer.NODES})))
        limits.append(min(command.timeout_s or 0 for command in runner.commands))
    assert limits[1] == limits[0] + 60


_OF_A_NODE_OFF = (CheckKind.STATE, CheckKind.LOGIN, CheckKind.PING)


@pytest.mark.parametrize("state", [NodeState.OFF, NodeState.PAUSED, NodeState.ABSENT])
def test_a_node_that_is_off_is_not_talked_to(state: NodeState) -> None:
    lab = make_lab(retries=0)
    runner = FakeRunner(lambda command: answer(lab, command))
    states = {n.name: state if n.name == "compute1" else RUNNING for n in lab.nodes}
    hooks = Hooks(about_state=lambda node, state: ("so", f"look {node}"))
    results = check(lab, runner, states=lambda: states, hooks=hooks)
    assert sorted(map(node_of, runner.commands)) == ["compute2", "controller"]
    own = {r.check.kind: r for r in results if r.check.node == "compute1"}
    assert {kind: (own[kind].status, own[kind].reason) for kind in _OF_A_NODE_OFF} == {
        CheckKind.STATE: (CheckStatus.FAILED, Reason.NOT_RUNNING),
        CheckKind.LOGIN: (CheckStatus.FAILED, Reason.NODE_OFF),
        CheckKind.PING: (CheckStatus.ERROR, Reason.NODE_OFF),
    }
    assert own[CheckKind.STATE].command == "look compute1"


def test_what_a_node_that_is_off_fails_at_is_not_tried_again() -> None:
    """It was: each try waited anew for pings that nobody could answer, 35 s until it was told."""
    lab = make_lab(retries=3)
    states = {n.name: NodeState.OFF if n.name == "compute1" else RUNNING for n in lab.nodes}
    off = ["compute1"]
    runner, sleep = FakeRunner(lambda command: answer(lab, command, refused=off)), FakeSleep()
    results = check(lab, runner, sleep=sleep, states=lambda: states)
    assert {name for r in results if not r.is_passed for name in (r.check.node, r.check.target)} > {
        "compute1"
    }
    assert sleep.waits == []
    check(lab, runner, sleep=sleep, states=lambda: states, wait_s=0.1)
    assert sleep.waits == [0.1], "who waits may be about to start it"


def test_a_libvirtd_that_goes_away_mid_check_costs_the_states_alone() -> None:
    is_away = threading.Event()

    def fake_answer(command: Command) -> Result:
        is_away.set()
        return answer(LAB, command)

    states = {n.name: RUNNING for n in LAB.nodes}
    results = check(
        LAB,
        FakeRunner(fake_answer),
        sleep=FakeSleep(),
        states=lambda: {} if is_away.is_set() else states,
    )
    bad = [r for r in results if not r.is_passed]
    assert {(r.check.kind, r.status, r.detail) for r in bad} == {
        (CheckKind.STATE, CheckStatus.ERROR, "its state is not known")
    }
    assert len(bad) == 3


def test_a_state_is_asked_again_without_a_session() -> None:
    sleep = FakeSleep()

    def states() -> States:
        return {n.name: RUNNING for n in LAB.nodes} if sleep.waits else {}

    runner = FakeRunner(lambda command: answer(LAB, command))
    assert all(r.is_passed for r in check(LAB, runner, sleep=sleep, states=states))
    assert len(sleep.waits) == 1
    assert len(runner.commands) == 3


def test_a_bug_in_the_states_is_no_answer() -> None:
    def stub_bug() -> States:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        check(LAB, FakeRunner(lambda command: answer(LAB, command)), states=stub_bug)


@pytest.mark.parametrize(
    ("stderr", "detail"),
    [
        ("ssh: connect to host 10.10.0.12 port 22: Connection refused", "refused"),
        ("Host key verification failed.", "HOST KEY MISMATCH"),
        ("@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n@@@", "HOST KEY MISMATCH"),
        ("Connection closed by 10.10.0.12 port 22", "connection closed"),
        ("", "ssh ended with 255"),
    ],
)
def test_a_node_that_lets_nobody_in_fails_its_login_with_the_cause(
    stderr: str, detail: str
) -> None:
    lab = make_lab(retries=0)

    def stub_closed(command: Command) -> Result:
        shut = Result(exit_code=255, stderr=f"{stderr}\n")
        return shut if node_of(command) == "compute1" else answer(lab, command)

    results = check(lab, FakeRunner(stub_closed))
    own = {r.check.kind: r for r in results if r.check.node == "compute1"}
    assert (own[CheckKind.LOGIN].status, own[CheckKind.LOGIN].detail) == (
        CheckStatus.FAILED,
        detail,
    )
    assert own[CheckKind.LOGIN].command.endswith("'sh -s'")
    assert own[CheckKind.LOGIN].output == stderr
    assert own[CheckKind.SSH].detail == f"not reached: {detail}"
    assert own[CheckKind.STATE].is_passed
