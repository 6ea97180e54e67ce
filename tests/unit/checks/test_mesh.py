from __future__ import annotations

import dataclasses
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from stacklab.checks import lookout, plan
from stacklab.checks.family import AboutState, Facts, about_state
from stacklab.checks.lookout import States
from stacklab.checks.mesh import CheckEvent, Mesh
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
from stacklab.dev.simulated import outside as outside_simulated
from stacklab.dev.simulated.simulate import SimulatedNodes
from stacklab.errors import CommandFailed, CommandTimedOut, ToolNotFound
from stacklab.model.checks import CheckPolicy
from stacklab.model.lab import Lab, NetworkMode
from stacklab.model.state import NodeState
from stacklab.nodes.protocol import Answer
from stacklab.paths import HostPaths
from stacklab.process import Command, Conversing, Result
from tests.unit.checks.fake_lab import FakeRunner, late, make_lab
from tests.unit.checks.fake_node import answer, node_of, script_of

LAB = make_lab()
PATHS = HostPaths(Path("/var/lib/stacklab")).lab("trio")
RUNNING = NodeState.RUNNING
BASE = Selection(layers=frozenset({Layer.NODES, Layer.PAIRS}))


def check(
    lab: Lab,
    runner: Conversing,
    *,
    selection: Selection = BASE,
    policy: CheckPolicy | None = None,
    wait_s: float | None = None,
    states: Callable[[], States] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    on_event: Callable[[CheckEvent], None] = lambda event: None,
    judge_host: Callable[[Sequence[Check]], Iterable[CheckResult]] = lambda checks: (),
    as_expected: Callable[[CheckResult], CheckResult] = lambda result: result,
    gather: Callable[[Sequence[Check]], Facts] = lambda checks: Facts(),
    about_state: AboutState = about_state,
) -> tuple[CheckResult, ...]:
    """The checks of nodes and pairs of a lab whose domains run."""
    running = {node.name: RUNNING for node in lab.nodes}
    mesh = Mesh(
        lab=lab,
        paths=PATHS,
        runner=runner,
        states=states or (lambda: running),
        about_state=about_state,
        sleep=sleep,
        on_event=on_event,
        judge_host=judge_host,
        as_expected=as_expected,
        gather=gather,
    )
    return mesh.check(plan.expected(lab, selection), policy=policy, wait_s=wait_s)


class FakeSleep:
    def __init__(self) -> None:
        self.waits: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)


def test_a_healthy_lab_passes_with_one_session_per_node() -> None:
    runner, sleep = FakeRunner(lambda command: answer(LAB, command)), FakeSleep()
    results = check(LAB, runner, sleep=sleep)
    assert all(result.is_passed for result in results)
    assert sorted(map(node_of, runner.commands)) == ["compute1", "compute2", "controller"]
    assert sleep.waits == []


def test_all_nodes_are_asked_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=10)

    def fake_answer(command: Command) -> Result:
        together.wait()  # breaks unless all three are inside at once
        return answer(LAB, command)

    results = check(LAB, FakeRunner(fake_answer))
    assert all(result.is_passed for result in results)


def test_results_keep_the_specs_order_whoever_answers_first() -> None:
    def fake_answer(command: Command) -> Result:
        time.sleep({"controller": 0.06, "compute1": 0.03, "compute2": 0}[node_of(command)])
        return answer(LAB, command)

    results = check(LAB, FakeRunner(fake_answer))
    nodes = list(dict.fromkeys(result.check.node for result in results))
    assert nodes == ["controller", "compute1", "compute2"]
    assert results[0].check.kind is CheckKind.STATE


def test_only_what_failed_is_tried_again() -> None:
    tries: list[str] = []

    def fake_answer(command: Command) -> Result:
        tries.append(node_of(command))
        lost = ["10.20.0.12"] if len(tries) <= 3 and node_of(command) == "controller" else []
        return answer(LAB, command, lost=lost)

    runner, sleep = FakeRunner(fake_answer), FakeSleep()
    results = check(LAB, runner, sleep=sleep)
    assert all(result.is_passed for result in results)
    assert sleep.waits == [1.5]
    assert tries[3:] == ["controller"]
    again = script_of(runner.commands[3])
    assert "10.20.0.12" in again
    for left_out in ("10.10.0.12", "reach c", "lookup c"):
        assert left_out not in again


def test_retries_are_bounded_and_the_last_answer_stands() -> None:
    runner, sleep = (
        FakeRunner(lambda command: answer(LAB, command, refused=["compute2"])),
        FakeSleep(),
    )
    results = check(LAB, runner, sleep=sleep)
    bad = [result for result in results if not result.is_passed]
    assert {(result.check.node, result.check.target, result.detail) for result in bad} == {
        ("controller", "compute2", "refused"),
        ("compute1", "compute2", "refused"),
    }
    assert sleep.waits == [1.5, 1.5]
    assert len(runner.commands) == 3 + 2 + 2


def test_a_policy_given_by_the_caller_comes_before_the_labs() -> None:
    runner, sleep = (
        FakeRunner(lambda command: answer(LAB, command, unknown=["compute1"])),
        FakeSleep(),
    )
    check(LAB, runner, policy=CheckPolicy(retries=0, interval_s=9, boot_timeout_s=1), sleep=sleep)
    assert sleep.waits == []


def unreachable(command: Command) -> Result:
    if node_of(command) == "compute1":
        said = "ssh: connect to host 10.10.0.12 port 22: No route to host"
        return Result(exit_code=255, stderr=said)
    return answer(LAB, command, lost=["10.10.0.12", "10.20.0.12"], refused=["compute1"])


def test_an_unreachable_node_has_one_failure_and_the_rest_not_reached() -> None:
    results = check(LAB, FakeRunner(unreachable), sleep=FakeSleep())
    own = [result for result in results if result.check.node == "compute1"]
    failed = [result for result in own if result.status is CheckStatus.FAILED]
    assert [(result.check.kind, result.detail) for result in failed] == [
        (CheckKind.LOGIN, "unreachable")
    ]
    assert {(r.status, r.detail) for r in own[2:] if r.check.kind is not CheckKind.CLOCK} == {
        (CheckStatus.ERROR, "not reached: unreachable")
    }
    assert "No route" in own[1].output


def test_a_node_that_hangs_is_timed_out() -> None:
    def stub_hang(command: Command) -> Result:
        raise CommandTimedOut(f"no end after {command.timeout_s:g} s: ssh")

    results = check(make_lab(nodes=("one",), retries=0), FakeRunner(stub_hang))
    assert (results[1].status, results[1].detail) == (CheckStatus.FAILED, "timed out")


def test_a_login_that_answers_something_else_is_no_login() -> None:
    stub = FakeRunner(
        lambda command: Result(exit_code=1, stderr="This account is currently not available.\n")
    )
    results = check(make_lab(nodes=("one",), retries=0), stub)
    assert (results[1].status, results[1].detail) == (
        CheckStatus.FAILED,
        "This account is currently not available.",
    )


def test_a_session_lost_on_its_way_keeps_what_it_had_answered() -> None:
    lab = make_lab(retries=0)

    def stub_cut(command: Command) -> Result:
        text = answer(lab, command).stdout
        cut = text[: text.index(" pairs.logins ") - 25]
        return Result(
            exit_code=255, stdout=cut, stderr="Connection to 10.10.0.11 closed by remote host.\n"
        )

    results = check(lab, FakeRunner(stub_cut))
    by_kind = {result.check.kind: result for result in results}
    assert by_kind[CheckKind.PING].is_passed
    assert by_kind[CheckKind.SSH].status is CheckStatus.ERROR
    assert by_kind[CheckKind.SSH].detail.startswith("the session ended before this check: ")


def test_a_missing_ssh_is_raised_not_reported_per_node() -> None:
    def stub_absent(command: Command) -> Result:
        raise ToolNotFound(command.argv[0])

    with pytest.raises(ToolNotFound):
        check(LAB, FakeRunner(stub_absent))


def test_only_the_wanted_kinds_are_tried() -> None:
    runner = FakeRunner(lambda command: answer(LAB, command))
    results = check(LAB, runner, selection=Selection(layers=frozenset({Layer.NODES})))
    assert {result.check.kind.layer for result in results} == {Layer.NODES}
    assert "fping" not in script_of(runner.commands[0])


def test_events_come_in_the_callers_thread_and_count_up() -> None:
    events: list[CheckEvent] = []
    threads: set[int] = set()

    def take(event: CheckEvent) -> None:
        events.append(event)
        threads.add(threading.get_ident())

    results = check(LAB, FakeRunner(lambda c: answer(LAB, c)), on_event=take)
    assert threads == {threading.get_ident()}
    each = len(results) // 3 - 2  # states and clocks are judged when all have answered
    assert [event.passed for event in events] == [each, 2 * each, 3 * each]
    assert "is done" in str(events[-1])


def test_an_event_says_what_a_node_waits_for() -> None:
    events: list[CheckEvent] = []
    check(LAB, FakeRunner(unreachable), on_event=events.append, sleep=FakeSleep())
    said = next(str(event) for event in events if event.node == "compute1")
    assert (
        "compute1 waits for host -> compute1 10.10.0.12 (net0): login: unreachable (try 1 of 3)"
        in said
    )


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
        for _ in range(200):
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

    started = time.monotonic()
    results = {
        (r.check.node, r.check.kind, r.check.target): r for r in check(lab, nodes, states=states)
    }
    assert time.monotonic() - started < 9
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
    judge = plan.judge

    def stub_breaks(
        lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts
    ) -> Iterable[CheckResult]:
        if checks and checks[0].node == "compute1":
            return [CheckResult(check=checks[0], status=CheckStatus.PASSED, detail=f"{int('x')}")]
        return judge(lab, checks, answer, facts)

    monkeypatch.setattr(plan, "judge", stub_breaks)
    lab = make_lab(retries=0)
    results = check(lab, FakeRunner(lambda c: answer(lab, c)))
    broken = [r for r in results if r.check.node == "compute1" and r.status is CheckStatus.ERROR]
    assert len(broken) > 5
    assert {r.detail for r in broken if r.check.kind is not CheckKind.CLOCK} == {broken[0].detail}
    assert broken[0].detail.startswith("its answer can't be read: ValueError in test_mesh.py:")
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
    results = check(
        lab, runner, states=lambda: states, about_state=lambda node, state: ("so", f"look {node}")
    )
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
    assert sleep.waits, "who waits may be about to start it"


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


def test_waiting_tries_again_until_all_passes() -> None:
    tries: list[int] = []

    def fake_answer(command: Command) -> Result:
        tries.append(1)
        return answer(LAB, command, refused=["compute2"] if len(tries) < 12 else [])

    results = check(LAB, FakeRunner(fake_answer), wait_s=60, sleep=lambda seconds: None)
    assert all(r.is_passed for r in results)
    assert len(tries) > 3 * 3


def test_waiting_ends_with_a_try_when_the_time_is_over() -> None:
    runner, waits = FakeRunner(lambda command: answer(LAB, command, refused=["compute2"])), []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        time.sleep(seconds)

    policy = CheckPolicy(retries=100, interval_s=0.4, boot_timeout_s=1)
    started = time.monotonic()
    results = check(LAB, runner, policy=policy, wait_s=1.0, sleep=sleep)
    assert 1.0 <= time.monotonic() - started < 20
    assert not all(r.is_passed for r in results)
    assert len(waits) >= 2
    assert max(waits) == 0.4
    assert sum(waits) < 1.0  # not one more whole interval at the end
    assert len(runner.commands) == 3 + 2 * len(waits)


def test_not_waiting_at_all_tries_once() -> None:
    runner = FakeRunner(lambda command: answer(LAB, command, refused=["compute2"]))
    check(LAB, runner, wait_s=0.0, sleep=FakeSleep())
    assert len(runner.commands) == 3


def test_a_hundred_nodes_are_not_all_asked_at_the_same_moment() -> None:
    lab = make_lab(nodes=tuple(f"n{number}" for number in range(100)), cidrs=("10.10.0.0/24",))
    inside: list[int] = []
    most: list[int] = []
    lock = threading.Lock()

    def fake_answer(command: Command) -> Result:
        with lock:
            inside.append(1)
            most.append(len(inside))
        time.sleep(0.3)
        with lock:
            inside.pop()
        return answer(lab, command)

    selection = Selection(layers=frozenset({Layer.NODES}), nodes=frozenset())
    assert all(r.is_passed for r in check(lab, FakeRunner(fake_answer), selection=selection))
    assert 40 < max(most) <= 50


def test_what_the_host_judges_is_among_the_results_and_tried_again() -> None:
    host_check = Check(kind=CheckKind.HOST_APART, node=HOST, network="net1")
    tries: list[int] = []

    def judge_host(checks: Sequence[Check]) -> list[CheckResult]:
        tries.append(len(checks))
        status = CheckStatus.PASSED if len(tries) > 1 else CheckStatus.FAILED
        return [
            CheckResult(check=each, status=status, reason=Reason.OK, detail="apart")
            for each in checks
        ]

    lab, expected = LAB, plan.expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "expected", lambda *args: (*expected(*args), host_check))
        runner = FakeRunner(lambda command: answer(lab, command))
        results = check(lab, runner, judge_host=judge_host, sleep=FakeSleep())
    assert results[-1].check == host_check
    assert all(r.is_passed for r in results)
    assert tries == [1, 1]
    assert len(runner.commands) == 3


ISOLATION = Selection(layers=frozenset({Layer.ISOLATION}))


def make_halves() -> Lab:
    """All on net0; on net1, which is isolated, compute2 alone: nobody else can show that it is out of reach."""
    nat, isolated = LAB.networks
    nodes = tuple(
        dataclasses.replace(each, nics=each.nics[: 1 + (each.name == "compute2")])
        for each in LAB.nodes
    )
    networks = (nat, dataclasses.replace(isolated, mode=NetworkMode.ISOLATED))
    return dataclasses.replace(LAB, nodes=nodes, networks=networks)


HALVES = make_halves()


class Booting:
    """A lab whose compute2 lets nobody in before the try `up_at`, nor answers the host before the try `heard_at`."""

    def __init__(self, *, up_at: int, heard_at: int) -> None:
        self.up_at, self.heard_at = up_at, heard_at
        self.gathered: list[list[Check]] = []
        self.sleep = FakeSleep()

    def gather(self, checks: Sequence[Check]) -> Facts:
        self.gathered.append(list(checks))
        found = outside_simulated.facts(HALVES)
        own = frozenset(str(nic.address.ip) for nic in HALVES.node("compute2").nics)
        return (
            found
            if len(self.gathered) >= self.heard_at
            else dataclasses.replace(found, alive=found.alive - own)
        )

    def answer(self, command: Command) -> Result:
        if node_of(command) == "compute2" and len(self.gathered) < self.up_at:
            return Result(
                exit_code=255, stderr="ssh: connect to host 10.10.0.13 port 22: Connection refused"
            )
        return answer(HALVES, command)

    def check(
        self,
        *,
        wait_s: float | None = None,
        policy: CheckPolicy = LAB.checks,
        states: States | None = None,
    ) -> dict[CheckStatus, set[str]]:
        """Which nodes have a result of which status."""
        runner, found = (
            FakeRunner(self.answer),
            states or {node.name: RUNNING for node in HALVES.nodes},
        )
        results = check(
            HALVES,
            runner,
            selection=ISOLATION,
            gather=self.gather,
            sleep=self.sleep,
            wait_s=wait_s,
            policy=policy,
            states=lambda: found,
        )
        return {
            status: {r.check.node for r in results if r.status is status}
            for status in {r.status for r in results}
        }


EVERYBODY = {"controller", "compute1", "compute2"}


def test_what_a_node_that_boots_meanwhile_bears_witness_to_is_proved_by_the_try_again() -> None:
    """The host's facts were gathered once: "nothing is proved" stayed, however often all was tried again."""
    booting = Booting(up_at=2, heard_at=2)
    assert booting.check() == {CheckStatus.PASSED: EVERYBODY}
    assert len(booting.gathered) == 2


def test_a_witness_that_is_heard_late_is_asked_once_more_and_not_for_ever() -> None:
    booting = Booting(up_at=1, heard_at=2)
    assert booting.check(wait_s=60) == {CheckStatus.PASSED: EVERYBODY}
    assert {c.node for c in booting.gathered[1] if c.kind is not CheckKind.LOGIN} == {
        "controller",
        "compute1",
    }
    silent = Booting(up_at=3, heard_at=99)
    found = silent.check(wait_s=60)
    assert found[CheckStatus.WARNED] == {"controller", "compute1"}
    assert len(silent.gathered) == 4, "who answers no pings keeps nobody waiting"


def test_a_witness_that_is_off_is_not_waited_for() -> None:
    booting = Booting(up_at=99, heard_at=99)
    states = {n.name: NodeState.OFF if n.name == "compute2" else RUNNING for n in HALVES.nodes}
    assert booting.check(states=states)[CheckStatus.WARNED] == {"controller", "compute1"}
    assert (len(booting.gathered), booting.sleep.waits) == (1, [])


def test_who_tries_but_once_tries_no_witness_again() -> None:
    booting = Booting(up_at=1, heard_at=2)
    assert booting.check(wait_s=0.0)[CheckStatus.WARNED] == {"controller", "compute1"}
    booting = Booting(up_at=1, heard_at=2)
    once = dataclasses.replace(LAB.checks, retries=0)
    assert booting.check(policy=once)[CheckStatus.WARNED] == {"controller", "compute1"}
    assert booting.sleep.waits == []


def test_a_warning_that_no_node_can_take_away_is_no_reason_to_try_again() -> None:
    class Cut(Booting):
        def gather(self, checks: Sequence[Check]) -> Facts:
            found = super().gather(checks)
            tried = {place: each for place, each in found.tried.items() if place.endswith(":22")}
            return dataclasses.replace(found, tried=tried)

    cut = Cut(up_at=1, heard_at=1)
    assert cut.check(wait_s=60)[CheckStatus.WARNED] == {"compute2"}, (
        "nothing outside answers this host"
    )
    assert len(cut.gathered) == 1


def test_facts_are_gathered_for_what_is_tried_and_nothing_else() -> None:
    gathered: list[set[tuple[str, CheckKind]]] = []

    def gather(checks: Sequence[Check]) -> Facts:
        gathered.append({(each.node, each.kind) for each in checks})
        return Facts()

    def fake_answer(command: Command) -> Result:
        lost = ["10.20.0.12"] if len(gathered) == 1 and node_of(command) == "controller" else []
        return answer(LAB, command, lost=lost)

    check(LAB, FakeRunner(fake_answer), gather=gather, sleep=FakeSleep())
    assert gathered[1:] == [{("controller", CheckKind.PING), ("controller", CheckKind.MTU)}]
    assert gathered[0] > gathered[1]


def test_a_result_costs_little_memory() -> None:
    """A lab of 200 nodes on two networks has 400,000 of them; tests/contract/test_mesh_scale.py has it whole."""
    lab = make_lab(nodes=tuple(f"n{number}" for number in range(25)))
    tracemalloc.start()
    try:
        results = check(
            lab, SimulatedNodes(lab), selection=Selection(layers=frozenset({Layer.PAIRS}))
        )
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert all(r.is_passed for r in results)
    assert len(results) == 25 * (1 + 24 * (2 * 4 + 2))
    assert held / len(results) < 300
    assert peak / len(results) < 900


def test_a_clock_once_read_is_not_forgotten_when_other_checks_are_tried_again() -> None:
    """It was: a session for what failed alone carried no clock, and a node 5 s behind passed with a warning."""
    lab = make_lab(retries=1)

    def spoil(node: str, tag: str, lines: list[str], code: int) -> tuple[list[str], int]:
        if node == "compute1" and tag.startswith("nodes.clock"):
            lines = [f"{time.time() - 5:.6f}"]
        if node != "compute1" and tag == "nodes.hostname":
            lines = ["wrong"]
        return lines, code

    mesh = Mesh(
        lab=lab,
        paths=PATHS,
        runner=SimulatedNodes(lab, spoil),
        states=lambda: {node.name: NodeState.RUNNING for node in lab.nodes},
        sleep=lambda seconds: None,
    )
    found = mesh.check(plan.expected(lab, Selection(layers=frozenset({Layer.NODES}))))
    clocks = {
        result.check.node: result.status for result in found if result.check.kind is CheckKind.CLOCK
    }
    assert clocks == {
        "controller": CheckStatus.PASSED,
        "compute1": CheckStatus.FAILED,
        "compute2": CheckStatus.PASSED,
    }


def test_a_declared_delay_is_no_clock_that_is_behind() -> None:
    """It was: a node whose first NIC holds back for 2 s was 2 s behind the others."""
    lab = late(make_lab(retries=0), 0)
    slow = late(lab, 2000).nodes[1]
    lab = dataclasses.replace(lab, nodes=(lab.nodes[0], slow, lab.nodes[2]))

    def told(behind_s: float) -> dict[str, CheckStatus]:
        def spoil(node: str, tag: str, lines: list[str], code: int) -> tuple[list[str], int]:
            if node == "compute1" and tag.startswith("nodes.clock"):
                lines = [f"{time.time() - 2 - behind_s:.6f}"]
            return lines, code

        results = check(
            lab, SimulatedNodes(lab, spoil), selection=Selection(layers=frozenset({Layer.NODES}))
        )
        return {r.check.node: r.status for r in results if r.check.kind is CheckKind.CLOCK}

    assert set(told(0).values()) == {CheckStatus.PASSED}
    assert told(-2)["compute1"] is CheckStatus.FAILED  # ahead, by as much as its answer is late


def test_a_clock_found_wrong_by_a_later_try_is_tried_again() -> None:
    """It was not: it had passed at first, when the node beside it was not heard, and failed for good."""
    lab, asked = (
        make_lab(nodes=("controller", "compute1"), retries=3),
        {"controller": 0, "compute1": 0},
    )

    def spoil(node: str, tag: str, lines: list[str], code: int) -> tuple[list[str], int]:
        if tag == "nodes.clock":
            asked[node] += 1
        if tag.startswith("nodes.clock"):
            # compute1 says nothing at first; then it shows that the controller is off, until that is set
            silent = node == "compute1" and asked[node] == 1
            ahead = 5 if node == "controller" and asked[node] < 2 else 0
            return ([] if silent else [f"{time.time() + ahead:.6f}"]), code
        return lines, code

    runner = SimulatedNodes(lab, spoil)
    results = check(
        lab, runner, selection=Selection(layers=frozenset({Layer.NODES})), sleep=lambda _: None
    )
    assert [str(r.detail) for r in results if not r.is_passed] == []


def test_what_is_meant_to_be_broken_is_turned_round_and_not_tried_again() -> None:
    def turned(result: CheckResult) -> CheckResult:
        if result.check.target == "compute2" and not result.is_passed:
            return dataclasses.replace(result, status=CheckStatus.PASSED, detail="cut")
        return result

    runner, sleep = (
        FakeRunner(lambda command: answer(LAB, command, refused=["compute2"])),
        FakeSleep(),
    )
    results = check(LAB, runner, sleep=sleep, as_expected=turned)
    assert all(result.is_passed for result in results)
    assert sum(result.detail == "cut" for result in results) == 4  # ssh and port, from both
    assert sleep.waits == []
