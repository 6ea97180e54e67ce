from __future__ import annotations

import threading
import time

import pytest

from stacklab.checks.asking.mesh import CheckEvent
from stacklab.checks.result import (
    CheckKind,
    CheckStatus,
    Layer,
    Selection,
)
from stacklab.errors import CommandTimedOut, ToolNotFound
from stacklab.model.checks import CheckPolicy
from stacklab.process import Command, Result
from tests.unit.checks.fake_lab import FakeRunner, make_lab
from tests.unit.checks.fake_node import answer, node_of, script_of
from tests.unit.checks.mesh_runs import LAB, FakeSleep, Hooks, check


def test_a_healthy_lab_passes_with_one_session_per_node() -> None:
    runner, sleep = FakeRunner(lambda command: answer(LAB, command)), FakeSleep()
    results = check(LAB, runner, sleep=sleep)
    assert all(result.is_passed for result in results)
    assert sorted(map(node_of, runner.commands)) == ["compute1", "compute2", "controller"]
    assert sleep.waits == []


def test_all_nodes_are_asked_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=60)

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

    results = check(LAB, FakeRunner(lambda c: answer(LAB, c)), hooks=Hooks(on_event=take))
    assert threads == {threading.get_ident()}
    each = len(results) // 3 - 2  # states and clocks are judged when all have answered
    assert [event.passed for event in events] == [each, 2 * each, 3 * each]
    assert "is done" in str(events[-1])


def test_an_event_says_what_a_node_waits_for() -> None:
    events: list[CheckEvent] = []
    check(LAB, FakeRunner(unreachable), hooks=Hooks(on_event=events.append), sleep=FakeSleep())
    said = next(str(event) for event in events if event.node == "compute1")
    assert (
        "compute1 waits for host -> compute1 10.10.0.12 (net0): login: unreachable (try 1 of 3)"
        in said
    )
