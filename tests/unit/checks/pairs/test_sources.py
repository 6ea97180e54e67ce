from __future__ import annotations

import pytest

from stacklab.checks.result import CheckKind, CheckStatus, Reason
from tests.unit.checks.pairs.said import HEALTHY, judged, line, spoilt


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [
        (
            "10.20.0.12 via 10.10.0.1 dev eth0 src 10.10.0.11 uid 1000 \\    cache",
            CheckStatus.FAILED,
            Reason.WRONG_WAY,
        ),
        (
            "10.20.0.12 dev eth1 src 10.20.0.99 uid 1000",
            CheckStatus.FAILED,
            Reason.WRONG_WAY,
        ),
        (
            "10.20.0.12 via 10.20.0.1 dev eth1 src 10.20.0.11",
            CheckStatus.FAILED,
            Reason.WRONG_WAY,
        ),
        (
            "local 10.20.0.12 dev lo src 10.20.0.12",
            CheckStatus.FAILED,
            Reason.WRONG_WAY,
        ),
        ("10.20.0.12", CheckStatus.FAILED, Reason.WRONG_WAY),
        (
            "RTNETLINK answers: Network is unreachable",
            CheckStatus.FAILED,
            Reason.NO_ROUTE,
        ),
        (
            "10.20.0.12 dev eth1 src 10.20.0.11 \\    cache mtu 1400",
            CheckStatus.PASSED,
            Reason.OK,
        ),
    ],
)
def test_packets_must_leave_by_the_nic_on_that_network(
    said: str, status: CheckStatus, reason: Reason
) -> None:
    good = line("source", "10.20.0.12 dev eth1 src 10.20.0.11 uid 1000 \\    cache")
    results = spoilt(good, line("source", said))
    result = results[CheckKind.SOURCE, "compute1", "net1"]
    assert (result.status, result.reason) == (status, reason)
    assert results[CheckKind.SOURCE, "compute2", "net1"].is_passed


def test_a_missing_ip_is_an_error() -> None:
    text = HEALTHY.replace(line("source", "10."), line("source", "x10.")).replace(
        "source = 0", "source = 127"
    )
    result = judged(text)[CheckKind.SOURCE, "compute1", "net1"]
    assert (result.status, result.reason) == (
        CheckStatus.ERROR,
        Reason.PROGRAM_MISSING,
    )
