from __future__ import annotations

import dataclasses

import pytest

from stacklab.checks import outcome
from stacklab.checks.result import CheckResult, CheckStatus, Layer, Reason
from stacklab.errors import LabError
from stacklab.workflow.check import checking
from stacklab.workflow.check.checking import CheckRequest
from tests.unit.workflow.fake_host import FakeHost


@pytest.fixture
def up(host: FakeHost) -> FakeHost:
    host.up()
    return host


def test_nothing_typed_is_everything(up: FakeHost) -> None:
    request = checking.request(up.context, "trio")
    assert request.lab.name == "trio"
    assert (request.selection, request.wait_s) == (checking.ALL, None)


def test_words_behind_commas_select(up: FakeHost) -> None:
    request = checking.request(
        up.context,
        "trio",
        layers="pairs, nodes",
        nodes="controller",
        networks="net0,net1",
        wait="1.5",
    )
    assert request.selection.layers == {Layer.PAIRS, Layer.NODES}
    assert request.selection.nodes == {"controller"}
    assert request.selection.networks == {"net0", "net1"}
    assert request.wait_s == 1.5


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"layers": "pear"}, r"no layer 'pear' \(did you mean pairs\? there are: nodes, pairs"),
        (
            {"nodes": "compute9"},
            r"no node 'compute9' \(did you mean compute.\? there are: controller",
        ),
        ({"networks": "x"}, r"no network 'x' \(there are: net0, net1\)"),
        ({"wait": "soon"}, "--wait soon is not a number of seconds"),
        ({"wait": "-1"}, "--wait -1 is not a number of seconds"),
        ({"wait": "nan"}, "--wait nan is not a number of seconds"),
        ({"wait": "inf"}, "--wait inf is not a number of seconds"),
        (
            {"layers": "impairments"},
            r"(?s)the selection fits none of lab trio's checks: nothing would be proved"
            r".*\(its layers: nodes, pairs, ",
        ),
    ],
)
def test_what_is_odd_is_named(up: FakeHost, typed: dict[str, str], told: str) -> None:
    with pytest.raises(LabError, match=told):
        checking.request(up.context, "trio", **typed)  # type: ignore[arg-type]


def test_a_lab_that_is_not_up_can_not_be_checked(host: FakeHost) -> None:
    with pytest.raises(LabError, match="lab trio is not up"):
        checking.request(host.context, "trio")


def test_watching_tries_each_time_once(up: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float | None] = []

    def fake_run(_context: object, request: CheckRequest) -> outcome.Outcome:
        asked.append(request.wait_s)
        return outcome.Outcome(lab=request.lab, results=(), started_at=0.0, elapsed_s=0.0)

    monkeypatch.setattr(checking, "run", fake_run)
    pauses: list[float] = []
    rounds = checking.watch(
        up.context, checking.request(up.context, "trio", wait="60"), sleep=pauses.append
    )
    for _ in range(3):
        next(rounds)
    assert asked == [0.0, 0.0, 0.0]
    assert pauses == [5.0, 5.0]


def test_a_request_that_is_strict_has_a_strict_outcome(
    up: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "check", lambda *_args, **_options: ())
    for is_strict in (True, False):
        request = checking.request(up.context, "trio", strict=is_strict)
        assert checking.run(up.context, request).is_strict is is_strict


def test_an_outcome_is_raised_for_with_what_to_type(up: FakeHost) -> None:
    request = checking.request(up.context, "trio")
    found = CheckResult(
        check=checking.plan.expected(request.lab)[0],
        status=CheckStatus.FAILED,
        reason=Reason.NOT_RUNNING,
        detail="is paused",
    )
    with pytest.raises(LabError, match="controller: state: is paused") as caught:
        outcome.raise_for_checks(request.lab, [found])
    assert caught.value.exit_code == 5
    for status, code in ((CheckStatus.ERROR, 6), (CheckStatus.WARNED, 7)):
        with pytest.raises(LabError) as caught:
            outcome.raise_for_checks(
                request.lab, [dataclasses.replace(found, status=status)], is_strict=True
            )
        assert caught.value.exit_code == code
    outcome.raise_for_checks(request.lab, [dataclasses.replace(found, status=CheckStatus.PASSED)])
