from __future__ import annotations

import pytest

from stacklab.checks.result import CheckKind, CheckStatus, Reason
from tests.unit.checks.pairs.said import HEALTHY, bad, judged, line, spoilt

NO_SCAN = Reason.PROGRAM_MISSING


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [
        (
            "silent 10.20.0.12 1 bash: connect: Connection refused",
            CheckStatus.FAILED,
            Reason.REFUSED,
        ),
        ("silent 10.20.0.12 124 ", CheckStatus.FAILED, Reason.TIMED_OUT),
        ("silent 10.20.0.12 143 ", CheckStatus.FAILED, Reason.TIMED_OUT),
        ("silent 10.20.0.12 127 sh: ssh-keyscan: not found", CheckStatus.ERROR, NO_SCAN),
        ("silent 10.20.0.12 0 ", CheckStatus.FAILED, Reason.NOT_SSHD),
        ("silent 10.20.0.12 1 odd", CheckStatus.FAILED, Reason.NO_CONNECTION),
        (
            "10.20.0.12 ssh-ed25519 AAAAcompute2",
            CheckStatus.FAILED,
            Reason.HOST_KEY,
        ),
        (
            "10.20.0.12 ssh-ed25519 AAAAnobody",
            CheckStatus.FAILED,
            Reason.HOST_KEY,
        ),
        ("# 10.20.0.12:22 SSH-2.0-x", CheckStatus.FAILED, Reason.NOT_SSHD),
        ("# 10.20.0.12 SSH-2.0-old", CheckStatus.FAILED, Reason.NOT_SSHD),
        ("silent 10.20.0.12", CheckStatus.ERROR, Reason.PROGRAM_FAILED),
        ("#", CheckStatus.ERROR, Reason.PROGRAM_FAILED),
    ],
)
def test_the_peers_own_sshd_must_answer_there(
    said: str, status: CheckStatus, reason: Reason
) -> None:
    text = HEALTHY.replace(line("logins", "# 10.20.0.12:22 SSH-2.0-OpenSSH_9.2p1\n"), "")
    results = spoilt(
        line("logins", "10.20.0.12 ssh-ed25519 AAAAcompute1"), line("logins", said), text
    )
    result = results[CheckKind.PORT, "compute1", "net1"]
    assert (result.status, result.reason) == (status, reason)
    assert [key for key in bad(results) if key[0] is CheckKind.PORT] == [
        (CheckKind.PORT, "compute1", "net1")
    ]


def test_a_peer_without_a_known_key_is_told() -> None:
    good = line("logins", "compute1,10.10.0.12,10.20.0.12 ssh-ed25519 AAAAcompute1")
    result = spoilt(good, "")[CheckKind.PORT, "compute1", "net1"]
    assert result.reason == Reason.HOST_KEY


def test_any_of_several_known_keys_will_do() -> None:
    good = line("logins", "compute1,10.10.0.12,10.20.0.12 ssh-ed25519 AAAAcompute1")
    more = line("logins", "10.20.0.12 ssh-ed25519 AAAAolder")
    assert bad(spoilt(good, f"{more}\n{good}")) == {}


LOGIN = line("logins", "login compute1 0 reached 10.10.0.11 40000 10.10.0.12 22")


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [
        (
            "255 ssh: connect to host compute1 port 22: Connection refused",
            CheckStatus.FAILED,
            Reason.REFUSED,
        ),
        ("255 Host key verification failed.", CheckStatus.FAILED, Reason.HOST_KEY),
        ("143 ", CheckStatus.FAILED, Reason.TIMED_OUT),
        ("255 Killed by signal 15.", CheckStatus.FAILED, Reason.TIMED_OUT),
        ("3 ", CheckStatus.FAILED, Reason.NO_CONNECTION),
        ("127 sh: ssh: not found", CheckStatus.ERROR, Reason.PROGRAM_MISSING),
        (
            "0 reached 10.20.0.11 40000 10.20.0.12 22",
            CheckStatus.FAILED,
            Reason.OTHER_NODE,
        ),
        ("0 a banner reached 10.10.0.11 40000 10.10.0.12 22", CheckStatus.PASSED, Reason.OK),
        ("x", CheckStatus.ERROR, Reason.PROGRAM_FAILED),
    ],
)
def test_ssh_between_nodes_says_why_it_failed(
    said: str, status: CheckStatus, reason: Reason
) -> None:
    results = spoilt(LOGIN, line("logins", f"login compute1 {said}"))
    result = results[CheckKind.SSH, "compute1", "net0"]
    assert (result.status, result.reason) == (status, reason)
    assert {target for _, target, _ in bad(results)} <= {"compute1"}


def test_a_login_proves_the_port_of_the_address_that_it_reached() -> None:
    port = (CheckKind.PORT, "compute1", "net0")
    assert judged(HEALTHY)[port].is_passed
    elsewhere = line("logins", "login compute1 0 reached 10.20.0.11 40000 10.20.0.12 22")
    assert spoilt(LOGIN, elsewhere)[port].status is CheckStatus.ERROR
    scanned = f"{elsewhere}\n{line('logins', '10.10.0.12 ssh-ed25519 AAAAcompute1')}"
    assert spoilt(LOGIN, scanned)[port].is_passed
    refused = line("logins", "login compute1 255 Connection refused")
    silent = line("logins", "silent 10.10.0.12 1 bash: connect: Connection refused")
    result = spoilt(LOGIN, f"{refused}\n{silent}")[port]
    assert (result.status, result.reason) == (CheckStatus.FAILED, Reason.REFUSED)


def test_a_login_that_says_nothing_of_its_address_proves_no_port() -> None:
    results = spoilt(LOGIN, line("logins", "login compute1 0 reached"))
    assert results[CheckKind.SSH, "compute1", "net0"].is_passed
    assert results[CheckKind.PORT, "compute1", "net0"].status is CheckStatus.ERROR
