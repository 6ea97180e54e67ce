from __future__ import annotations

import pytest

from stacklab.checks.result import CheckKind, CheckResult, CheckStatus, Reason
from tests.unit.checks.pairs.said import HEALTHY, judged, line


def of_name(*lines: str) -> CheckResult:
    """What is said of compute1's name with other lines about the names."""
    begin, end = HEALTHY.index(line("names", "")), HEALTHY.index(line("names", "= 0"))
    text = HEALTHY[:begin] + "".join(f"{line('names', each)}\n" for each in lines) + HEALTHY[end:]
    return judged(text)[CheckKind.NAME, "compute1", "net0"]


FORWARD = ("0.0.0.2 STREAM 0.0.0.2", "10.10.0.12 STREAM compute1", "10.10.0.12 DGRAM")


OTHER = ("0.0.0.3 STREAM 0.0.0.3", "10.10.0.13 STREAM compute2")


BACK = ("back", "10.10.0.12 compute1.lab compute1", "10.10.0.13 compute2")


@pytest.mark.parametrize(
    ("lines", "status", "reason"),
    [
        ((*FORWARD, *OTHER, *BACK, "codes 0 0 2 3"), CheckStatus.PASSED, Reason.OK),
        (
            (FORWARD[0], *OTHER, *BACK, "codes 2 0 2 3"),
            CheckStatus.FAILED,
            Reason.NAME_UNKNOWN,
        ),
        (
            ("back", "codes 124 124 2 3"),
            CheckStatus.FAILED,
            Reason.TIMED_OUT,
        ),
        (
            (FORWARD[0], "127.0.1.1 STREAM compute1", *OTHER, *BACK, "codes 0 0 2 3"),
            CheckStatus.FAILED,
            Reason.WRONG_ADDRESS,
        ),
        (
            (FORWARD[0], "10.20.0.12 STREAM x", *FORWARD[1:], *OTHER, *BACK, "codes 0 0 2 3"),
            CheckStatus.FAILED,
            Reason.WRONG_ADDRESS,
        ),
        (
            (*FORWARD, *OTHER, "back", BACK[2], "codes 0 2 2 3"),
            CheckStatus.FAILED,
            Reason.NO_NAME,
        ),
        (
            (*FORWARD, *OTHER, "back", "codes 0 124 2 3"),
            CheckStatus.FAILED,
            Reason.TIMED_OUT,
        ),
        (
            (*FORWARD, *OTHER, "back", "10.10.0.12 elsewhere compute10", "codes 0 0 2 3"),
            CheckStatus.FAILED,
            Reason.WRONG_NAME,
        ),
        (
            ("timeout: no getent", "codes 127 127 2 3"),
            CheckStatus.ERROR,
            Reason.PROGRAM_MISSING,
        ),
        ((*FORWARD, *OTHER, *BACK), CheckStatus.ERROR, Reason.PROGRAM_FAILED),
        (
            (*FORWARD, *OTHER, *BACK, "codes 0 0 x"),
            CheckStatus.ERROR,
            Reason.PROGRAM_FAILED,
        ),
    ],
)
def test_a_name_must_lead_to_the_access_address_and_back(
    lines: tuple[str, ...], status: CheckStatus, reason: Reason
) -> None:
    result = of_name(*lines)
    assert (result.status, result.reason) == (status, reason)
