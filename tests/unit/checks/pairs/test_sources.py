from __future__ import annotations

import pytest

from stacklab.checks.result import CheckKind, CheckStatus
from tests.unit.checks.pairs.said import HEALTHY, judged, line, spoilt


@pytest.mark.parametrize(
    ("said", "status", "detail"),
    [
        (
            "10.20.0.12 via 10.10.0.1 dev eth0 src 10.10.0.11 uid 1000 \\    cache",
            CheckStatus.FAILED,
            "would leave by eth0 from 10.10.0.11 via 10.10.0.1, not by eth1 from 10.20.0.11",
        ),
        (
            "10.20.0.12 dev eth1 src 10.20.0.99 uid 1000",
            CheckStatus.FAILED,
            "would leave by eth1 from 10.20.0.99, not by eth1 from 10.20.0.11",
        ),
        (
            "10.20.0.12 via 10.20.0.1 dev eth1 src 10.20.0.11",
            CheckStatus.FAILED,
            "would leave by eth1 from 10.20.0.11 via 10.20.0.1, not by eth1 from 10.20.0.11",
        ),
        (
            "local 10.20.0.12 dev lo src 10.20.0.12",
            CheckStatus.FAILED,
            "would leave by lo from 10.20.0.12, not by eth1 from 10.20.0.11",
        ),
        ("10.20.0.12", CheckStatus.FAILED, "would leave by ? from ?, not by eth1 from 10.20.0.11"),
        (
            "RTNETLINK answers: Network is unreachable",
            CheckStatus.FAILED,
            "controller lacks a route to 10.20.0.12",
        ),
        (
            "10.20.0.12 dev eth1 src 10.20.0.11 \\    cache mtu 1400",
            CheckStatus.PASSED,
            "eth1 10.20.0.11",
        ),
    ],
)
def test_packets_must_leave_by_the_nic_on_that_network(
    said: str, status: CheckStatus, detail: str
) -> None:
    good = line("source", "10.20.0.12 dev eth1 src 10.20.0.11 uid 1000 \\    cache")
    results = spoilt(good, line("source", said))
    result = results[CheckKind.SOURCE, "compute1", "net1"]
    assert (result.status, result.detail) == (status, detail)
    assert results[CheckKind.SOURCE, "compute2", "net1"].is_passed


def test_a_missing_ip_is_an_error() -> None:
    text = HEALTHY.replace(line("source", "10."), line("source", "x10.")).replace(
        "source = 0", "source = 127"
    )
    result = judged(text)[CheckKind.SOURCE, "compute1", "net1"]
    assert (result.status, result.detail) == (
        CheckStatus.ERROR,
        "ip is not installed on controller",
    )
