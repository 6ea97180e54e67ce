from __future__ import annotations

import re

import pytest

from stacklab.checks.result import CheckKind, CheckResult, CheckStatus, Reason
from tests.unit.checks.pairs.said import HEALTHY, bad, judged, line, spoilt


def test_a_silent_address_fails_that_ping_and_that_mtu() -> None:
    text = HEALTHY.replace(line("ping", "10.20.0.12 : 0.6\n"), "")
    text = re.sub(rf"{re.escape(line('ping', '10.20.0.12'))}(:| is).*\n", "", text)
    assert bad(
        spoilt(line("ping", "10.20.0.12 : 0.5 1.25 0.4"), line("ping", "10.20.0.12 : - - -"), text)
    ) == {
        (CheckKind.PING, "compute1", "net1"): (CheckStatus.FAILED, Reason.NO_REPLY),
        (CheckKind.MTU, "compute1", "net1"): (CheckStatus.FAILED, Reason.NO_REPLY),
    }


def test_a_lost_packet_fails_with_the_count() -> None:
    results = spoilt(
        line("ping", "10.20.0.12 : 0.5 1.25 0.4"), line("ping", "10.20.0.12 : 0.50 - 0.30")
    )
    assert bad(results) == {
        (CheckKind.PING, "compute1", "net1"): (CheckStatus.FAILED, Reason.SOME_LOST),
    }
    assert results[CheckKind.PING, "compute1", "net1"].rtt_ms == 0.5


NOT_SENT = (
    "size 1501; 10.20.0.12: error while sending ping: Message too long; 10.20.0.12 is unreachable"
)


def of_mtu(said: str) -> CheckResult:
    """What is said of compute1's MTU on net1 with other lines about the last sizes."""
    start, _, rest = HEALTHY.rpartition(line("ping", "size 1500\n"))
    end = rest[rest.index(line("ping", "= 0")) :]
    lines = "".join(f"{line('ping', each)}\n" for each in said.split("; "))
    return judged(start + lines + end)[CheckKind.MTU, "compute1", "net1"]


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [
        (
            f"size 1500; 10.20.0.12 : 1; {NOT_SENT}",
            CheckStatus.PASSED,
            Reason.OK,
        ),
        (
            f"size 1500; 10.20.0.12 : 1; {NOT_SENT.replace('long', 'large')}",  # musl's words
            CheckStatus.PASSED,
            Reason.OK,
        ),
        (
            "size 1500; 10.20.0.12 : 1; size 1501; 10.20.0.12 is unreachable",
            CheckStatus.FAILED,
            Reason.MTU_LARGER,
        ),
        (
            "size 1500; 10.20.0.12 : 1;"
            f" {NOT_SENT.replace('Message too long', 'Operation not permitted')}",
            CheckStatus.ERROR,
            Reason.NOT_SENT,
        ),
        (
            "size 1500; 10.20.0.12 : 1; size 1501; 10.20.0.12 is alive",
            CheckStatus.FAILED,
            Reason.MTU_LARGER,
        ),
        (
            "size 1500; 10.20.0.12 : -; size 1500; 10.20.0.12 : - - -; size 1400; 10.20.0.12 : 1; "
            "size 1450; 10.20.0.12 : -; size 576; 10.20.0.12 : 1",
            CheckStatus.FAILED,
            Reason.TOO_LONG,
        ),
        (
            "size 1500; 10.20.0.12 : -; size 1500; 10.20.0.12 : -",
            CheckStatus.FAILED,
            Reason.TOO_LONG,
        ),
        ("size 1500; fping: can't", CheckStatus.ERROR, Reason.PROGRAM_FAILED),
        (
            "size 1500; 10.20.0.12 : 1; size 1501",
            CheckStatus.ERROR,
            Reason.PROGRAM_FAILED,
        ),
        ("size ٣; 10.20.0.12 : 1", CheckStatus.ERROR, Reason.PROGRAM_FAILED),
    ],
)
def test_exactly_the_declared_size_must_pass(
    said: str, status: CheckStatus, reason: Reason
) -> None:
    result = of_mtu(said)
    assert (result.status, result.reason) == (status, reason)


def test_a_size_that_passed_on_the_second_try_passes() -> None:
    """A packet may be lost by chance."""
    said = f"size 1500; 10.20.0.12 : -; size 1500; 10.20.0.12 : - 1 1; {NOT_SENT}"
    assert of_mtu(said).status is CheckStatus.PASSED


def test_a_failed_size_says_what_to_type() -> None:
    assert "-M " in of_mtu("size 1500; 10.20.0.12 : -").command
    assert "-b 1472 10.20.0.12" in of_mtu("size 1500; 10.20.0.12 : -").command
    assert (
        "-b 1473 10.20.0.12"
        in of_mtu("size 1500; 10.20.0.12 : 1; size 1501; 10.20.0.12 is alive").command
    )


def test_a_missing_fping_is_an_error_and_the_rest_of_the_layer_answers() -> None:
    begin = HEALTHY.index(line("ping", ""))
    end = HEALTHY.index(line("ping", "= 0\n"))
    text = (
        HEALTHY[:begin]
        + line("ping", "sh: 1: fping: not found\n")
        + HEALTHY[end:].replace("ping = 0", "ping = 127")
    )
    found = bad(judged(text))
    assert set(found.values()) == {(CheckStatus.ERROR, Reason.PROGRAM_MISSING)}
    assert {kind for kind, _, _ in found} == {CheckKind.PING, CheckKind.MTU}


def test_an_fping_without_an_answer_is_an_error_with_its_words() -> None:
    text = HEALTHY.replace(
        line("ping", "10.20.0.12 : 0.5 1.25 0.4"), line("ping", "fping: can't create socket")
    )
    result = judged(text.replace("ping = 0", "ping = 4"))[CheckKind.PING, "compute1", "net1"]
    assert (result.status, result.reason) == (
        CheckStatus.ERROR,
        Reason.PROGRAM_FAILED,
    )
    assert "can't create socket" in result.output
