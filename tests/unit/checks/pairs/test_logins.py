from __future__ import annotations

import pytest

from stacklab.checks.result import CheckKind, CheckStatus
from tests.unit.checks.pairs.said import HEALTHY, bad, judged, line, spoilt

NO_SCAN = "ssh-keyscan is not installed on controller"


@pytest.mark.parametrize(
    ("said", "status", "detail"),
    [
        ("silent 10.20.0.12 1 bash: connect: Connection refused", CheckStatus.FAILED, "refused"),
        ("silent 10.20.0.12 124 ", CheckStatus.FAILED, "timed out"),
        ("silent 10.20.0.12 143 ", CheckStatus.FAILED, "timed out"),
        ("silent 10.20.0.12 127 sh: ssh-keyscan: not found", CheckStatus.ERROR, NO_SCAN),
        ("silent 10.20.0.12 0 ", CheckStatus.FAILED, "TCP/22 is open, and no sshd answers"),
        ("silent 10.20.0.12 1 odd", CheckStatus.FAILED, "no connection (exit code 1)"),
        (
            "10.20.0.12 ssh-ed25519 AAAAcompute2",
            CheckStatus.FAILED,
            "HOST KEY MISMATCH: shows the key of compute2",
        ),
        (
            "10.20.0.12 ssh-ed25519 AAAAnobody",
            CheckStatus.FAILED,
            "HOST KEY MISMATCH: shows an unknown key",
        ),
        ("# 10.20.0.12:22 SSH-2.0-x", CheckStatus.FAILED, "sshd there shows no ssh-ed25519 key"),
        ("# 10.20.0.12 SSH-2.0-old", CheckStatus.FAILED, "sshd there shows no ssh-ed25519 key"),
        ("silent 10.20.0.12", CheckStatus.ERROR, "ssh-keyscan gave no result (exit code 0)"),
        ("#", CheckStatus.ERROR, "ssh-keyscan gave no result (exit code 0)"),
    ],
)
def test_the_peers_own_sshd_must_answer_there(said: str, status: CheckStatus, detail: str) -> None:
    text = HEALTHY.replace(line("logins", "# 10.20.0.12:22 SSH-2.0-OpenSSH_9.2p1\n"), "")
    results = spoilt(
        line("logins", "10.20.0.12 ssh-ed25519 AAAAcompute1"), line("logins", said), text
    )
    result = results[CheckKind.PORT, "compute1", "net1"]
    assert (result.status, result.detail) == (status, detail)
    assert [key for key in bad(results) if key[0] is CheckKind.PORT] == [
        (CheckKind.PORT, "compute1", "net1")
    ]


def test_a_peer_without_a_known_key_is_told() -> None:
    good = line("logins", "compute1,10.10.0.12,10.20.0.12 ssh-ed25519 AAAAcompute1")
    result = spoilt(good, "")[CheckKind.PORT, "compute1", "net1"]
    assert result.detail == "HOST KEY MISMATCH: known_hosts on controller lacks a key of 10.20.0.12"


def test_any_of_several_known_keys_will_do() -> None:
    good = line("logins", "compute1,10.10.0.12,10.20.0.12 ssh-ed25519 AAAAcompute1")
    more = line("logins", "10.20.0.12 ssh-ed25519 AAAAolder")
    assert bad(spoilt(good, f"{more}\n{good}")) == {}


LOGIN = line("logins", "login compute1 0 reached 10.10.0.11 40000 10.10.0.12 22")


@pytest.mark.parametrize(
    ("said", "status", "detail"),
    [
        (
            "255 ssh: connect to host compute1 port 22: Connection refused",
            CheckStatus.FAILED,
            "refused",
        ),
        ("255 Host key verification failed.", CheckStatus.FAILED, "HOST KEY MISMATCH"),
        ("143 ", CheckStatus.FAILED, "timed out"),
        ("255 Killed by signal 15.", CheckStatus.FAILED, "timed out"),
        ("3 ", CheckStatus.FAILED, "ended with 3"),
        ("127 sh: ssh: not found", CheckStatus.ERROR, "ssh is not installed on controller"),
        (
            "0 reached 10.20.0.11 40000 10.20.0.12 22",
            CheckStatus.FAILED,
            "reached 10.20.0.12, not 10.10.0.12",
        ),
        ("0 a banner reached 10.10.0.11 40000 10.10.0.12 22", CheckStatus.PASSED, "logged in"),
        ("x", CheckStatus.ERROR, "ssh gave no result (exit code 0)"),
    ],
)
def test_ssh_between_nodes_says_why_it_failed(said: str, status: CheckStatus, detail: str) -> None:
    results = spoilt(LOGIN, line("logins", f"login compute1 {said}"))
    result = results[CheckKind.SSH, "compute1", "net0"]
    assert (result.status, result.detail) == (status, detail)
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
    assert (result.status, result.detail) == (CheckStatus.FAILED, "refused")


def test_a_login_that_says_nothing_of_its_address_proves_no_port() -> None:
    results = spoilt(LOGIN, line("logins", "login compute1 0 reached"))
    assert results[CheckKind.SSH, "compute1", "net0"].is_passed
    assert results[CheckKind.PORT, "compute1", "net0"].status is CheckStatus.ERROR
