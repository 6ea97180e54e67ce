from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from stacklab.checks import plan
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
from stacklab.model.checks import CheckPolicy
from stacklab.process import Command, Result
from tests.unit.checks.fake_lab import FakeRunner, make_lab
from tests.unit.checks.fake_node import answer
from tests.unit.checks.mesh_runs import LAB, FakeSleep, Hooks, check


def test_waiting_tries_again_until_all_passes() -> None:
    tries: list[int] = []

    def fake_answer(command: Command) -> Result:
        tries.append(1)
        return answer(LAB, command, refused=["compute2"] if len(tries) < 12 else [])

    results = check(LAB, FakeRunner(fake_answer), wait_s=60, sleep=FakeSleep())
    assert all(r.is_passed for r in results)
    assert len(tries) > 3 * 3


def test_waiting_ends_with_a_try_when_the_time_is_over() -> None:
    runner = FakeRunner(lambda command: answer(LAB, command, refused=["compute2"]))
    sleep = FakeSleep()
    policy = CheckPolicy(retries=100, interval_s=0.5, boot_timeout_s=1)
    results = check(LAB, runner, policy=policy, wait_s=1.25, sleep=sleep)
    assert not all(r.is_passed for r in results)
    assert sleep.waits == [0.5, 0.5, 0.25], "not one more whole interval at the end"
    assert len(runner.commands) == 3 + 2 * len(sleep.waits)


def test_not_waiting_at_all_tries_once() -> None:
    runner = FakeRunner(lambda command: answer(LAB, command, refused=["compute2"]))
    check(LAB, runner, wait_s=0.0, sleep=FakeSleep())
    assert len(runner.commands) == 3


def test_a_hundred_nodes_are_not_all_asked_at_the_same_moment() -> None:
    lab = make_lab(nodes=tuple(f"n{number}" for number in range(100)), cidrs=("10.10.0.0/24",))
    threads: set[str] = set()
    fifty = threading.Barrier(50, timeout=60)

    def fake_answer(command: Command) -> Result:
        threads.add(threading.current_thread().name)
        fifty.wait()  # breaks unless so many are inside at once
        return answer(lab, command)

    selection = Selection(layers=frozenset({Layer.NODES}), nodes=frozenset())
    assert all(r.is_passed for r in check(lab, FakeRunner(fake_answer), selection=selection))
    assert len(threads) == 50, "and no more"


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
        results = check(lab, runner, hooks=Hooks(judge_host=judge_host), sleep=FakeSleep())
    assert results[-1].check == host_check
    assert all(r.is_passed for r in results)
    assert tries == [1, 1]
    assert len(runner.commands) == 3
