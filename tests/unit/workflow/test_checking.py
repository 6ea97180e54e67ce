"""How a run of the checks ends: the words, and the exit code."""

from __future__ import annotations

import pytest

from stacklab.checks.result import Check, CheckKind, CheckResult, CheckStatus
from stacklab.errors import CheckFailed, CheckWarned, LabError, NotChecked
from stacklab.workflow import checking
from tests.unit.checks.fake_lab import make_lab


def result(status: CheckStatus) -> CheckResult:
    check = Check(kind=CheckKind.LOGIN, node="controller", network="net0", address="192.0.2.1", device="eth0")
    return CheckResult(check=check, status=status, detail="refused")


def test_what_passed_raises_nothing() -> None:
    checking.raise_for_checks(make_lab(), [result(CheckStatus.PASSED)])


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (CheckStatus.FAILED, CheckFailed, 5),
        (CheckStatus.ERROR, NotChecked, 6),
        (CheckStatus.WARNED, CheckWarned, 7),
    ],
)
def test_what_did_not_is_raised_with_where_to_look(status: CheckStatus, error: type[LabError], code: int) -> None:
    with pytest.raises(error) as caught:
        checking.raise_for_checks(make_lab(), [result(CheckStatus.PASSED), result(status)])
    assert caught.value.exit_code == code
    assert "host -> controller 192.0.2.1 (net0): login: refused" in str(caught.value)
    assert "./invoke lab.console trio" in str(caught.value.hint)
