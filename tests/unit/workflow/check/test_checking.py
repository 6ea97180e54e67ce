"""How a run of the checks ends: the words, and the exit code."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from stacklab.checks import outcome, plan
from stacklab.checks.asking.mesh import Mesh
from stacklab.checks.family import Facts
from stacklab.checks.result import (
    Check,
    CheckKind,
    CheckResult,
    CheckStatus,
    Layer,
    Reason,
    Selection,
)
from stacklab.errors import CheckFailed, CheckWarned, LabError, NotChecked
from stacklab.workflow.check import checking
from tests.unit.checks.fake_lab import make_lab
from tests.unit.workflow.fake_host import FakeHost


def result(status: CheckStatus) -> CheckResult:
    check = Check(
        kind=CheckKind.LOGIN, node="controller", network="net0", address="192.0.2.1", device="eth0"
    )
    return CheckResult(check=check, status=status, reason=Reason.REFUSED, detail="refused")


def test_what_passed_raises_nothing() -> None:
    outcome.raise_for_checks(make_lab(), [result(CheckStatus.PASSED)])


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (CheckStatus.FAILED, CheckFailed, 5),
        (CheckStatus.ERROR, NotChecked, 6),
        (CheckStatus.WARNED, CheckWarned, 7),
    ],
)
def test_what_did_not_is_raised_with_where_to_look(
    status: CheckStatus, error: type[LabError], code: int
) -> None:
    with pytest.raises(error) as caught:
        outcome.raise_for_checks(
            make_lab(), [result(CheckStatus.PASSED), result(status)], is_strict=True
        )
    assert caught.value.exit_code == code
    assert "host -> controller 192.0.2.1 (net0): login: refused" in str(caught.value)
    assert "./invoke lab.console trio" in str(caught.value.hint)


def test_warnings_alone_raise_nothing_unless_the_run_is_strict() -> None:
    results = [result(CheckStatus.PASSED), result(CheckStatus.WARNED)]
    outcome.raise_for_checks(make_lab(), results)
    with pytest.raises(CheckWarned):
        outcome.raise_for_checks(make_lab(), results, is_strict=True)


def test_what_is_expected_is_listed_once_and_the_host_is_asked_for_each_try(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was listed for the host's facts and for the nodes, and the host was asked before the
    first try alone.
    """
    expected, listed, gathered = plan.expected, [], []

    def fake_expected(*args: object) -> tuple[Check, ...]:
        listed.append(args)
        return expected(*args)  # type: ignore[arg-type]

    def fake_gather(
        _families: object, _lab: object, checks: Sequence[Check], *_rest: object, **_more: object
    ) -> Facts:
        gathered.append(list(checks))
        return Facts()

    def fake_check(
        mesh: Mesh, checks: Sequence[Check], *, wait_s: float | None
    ) -> tuple[CheckResult, ...]:
        for tried in (checks, checks[:1]):
            mesh.gather(tried)
        return tuple(
            CheckResult(check=each, status=CheckStatus.PASSED, reason=Reason.OK, detail="")
            for each in checks
        )

    monkeypatch.setattr(plan, "expected", fake_expected)
    monkeypatch.setattr(checking.host, "gather", fake_gather)
    monkeypatch.setattr(Mesh, "check", fake_check)
    wanted = Selection(layers=frozenset({Layer.NODES}))
    results = checking.check(host.context, make_lab(), host.lab(), selection=wanted)
    assert len(listed) == 1
    assert {result.check.kind.layer for result in results} == {Layer.NODES}
    assert [len(each) for each in gathered] == [len(results), 1]
