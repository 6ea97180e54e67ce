"""The proof of a cloud as results of checks: one for each step, whatever became of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from stacklab import spec
from stacklab.checks.cloud import proof
from stacklab.checks.result import (
    Check,
    CheckKind,
    CheckResult,
    CheckStatus,
    Layer,
    Reason,
    Selection,
    Verdict,
)
from stacklab.errors import NotChecked
from stacklab.paths.project import LABS
from stacklab.workflow.check import checking
from stacklab.workflow.cloud import proving, smoke
from stacklab.workflow.cloud.smoke import SmokeStep
from tests.unit.workflow.fake_host import FakeHost, host

__all__ = ["host"]

LAB = spec.load(LABS / "openstack-3node.yaml")
CHECKS = tuple(proof.expected(LAB))
SERVICE = Check(kind=CheckKind.SERVICE, node="controller", subject="stacklab-nova-api.service")


def done(check: Check, detail: str = "") -> SmokeStep:
    return SmokeStep(name=check.subject, is_ok=True, elapsed_s=2.5, detail=detail)


def prove(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, steps: Sequence[SmokeStep] | Exception
) -> tuple[CheckResult, ...]:
    def answer(*_arguments: object, **_options: object) -> Sequence[SmokeStep]:
        if isinstance(steps, Exception):
            raise steps
        return steps

    monkeypatch.setattr(smoke, "prove", answer)
    return proving.prove(host.context, LAB, host.lab(LAB.name), CHECKS, ())


def test_each_step_has_its_result_its_words_and_its_time(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = prove(host, monkeypatch, [done(check, "10.99.0.7") for check in CHECKS])
    assert [result.check for result in results] == list(CHECKS)
    assert {result.status for result in results} == {CheckStatus.PASSED}
    assert {(result.detail, result.elapsed_s) for result in results} == {("10.99.0.7", 2.5)}


def test_a_step_that_failed_has_the_cloud_s_words_and_what_came_after_was_not_tried(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    *before, failed, last = (*CHECKS[:8], CHECKS[-1])
    words = "No valid host was found.\nits console:\nTENANT init 3.5"
    steps = [
        *map(done, before),
        SmokeStep(name=failed.subject, is_ok=False, elapsed_s=9.0, detail=words),
        done(last),
    ]
    results = {result.check: result for result in prove(host, monkeypatch, steps)}
    assert results[failed].status is CheckStatus.FAILED
    assert results[failed].reason is Reason.STEP_FAILED
    assert results[failed].detail == "No valid host was found."
    assert "TENANT init" in results[failed].output
    assert "--keep" in results[failed].command
    assert results[last].is_passed  # cleaned up all the same
    others = [results[check] for check in CHECKS[8:-1]]
    assert {result.reason for result in others} == {Reason.NOT_TRIED}
    assert all(failed.subject in result.detail for result in others)


def test_services_that_do_not_run_are_told_at_once_instead(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smoke, "prove", lambda *_, **__: pytest.fail("it was run"))
    broken = Verdict.failed(Reason.NOT_RUNNING, "failed").of(SERVICE)
    results = proving.prove(host.context, LAB, host.lab(LAB.name), CHECKS, (broken,))
    assert {result.reason for result in results} == {Reason.NOT_TRIED}
    assert "stacklab-nova-api" in results[0].detail


def test_a_program_that_ended_without_a_result_has_proved_nothing(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = prove(host, monkeypatch, NotChecked("ended without a result"))
    assert {result.status for result in results} == {CheckStatus.ERROR}
    assert results[0].detail == "ended without a result"


def test_lab_check_has_it_done_where_the_layer_is_named(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.stock("debian-12-openstack")
    host.up(LAB, with_stack=False)
    monkeypatch.setattr(smoke, "prove", lambda *_, **__: [done(check) for check in CHECKS])
    selection = Selection(layers=frozenset({Layer.CLOUD}))
    results = checking.check(host.context, LAB, host.lab(LAB.name), selection=selection)
    assert [result.check for result in results] == list(CHECKS)
    monkeypatch.setattr(smoke, "prove", lambda *_, **__: pytest.fail("it was run"))
    nodes = Selection(layers=frozenset({Layer.NODES}))
    assert checking.check(host.context, LAB, host.lab(LAB.name), selection=nodes)


def test_services_of_devstack_which_are_on_request_too_are_no_steps_of_it(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = spec.load(LABS / "devstack-3node.yaml")
    host.up(lab)
    monkeypatch.setattr(smoke, "prove", lambda *_, **__: pytest.fail("it was run"))
    selection = Selection(layers=frozenset({Layer.SERVICES}))
    results = checking.check(host.context, lab, host.lab(lab.name), selection=selection)
    assert {result.check.subject for result in results} >= {"devstack@*"}
