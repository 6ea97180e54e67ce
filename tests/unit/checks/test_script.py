from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacklab.checks import script
from stacklab.checks.result import Check, CheckKind, CheckResult, CheckStatus
from stacklab.model import Installer
from tests.unit.answers.labs import make_lab as make_contrail
from tests.unit.checks.fake_lab import make_lab

LAB = make_lab()
CHECKS = script.expected(LAB)
OF_CONTROLLER = tuple(check for check in CHECKS if check.node == "controller")
MARK = "stacklab-0123"

HEALTHY = f"""\
Welcome to a node with a banner
{MARK} begin
{MARK} hostname controller
10.10.0.12 : 0.50 0.40 0.30
10.10.0.13 : 0.50 0.40 0.30
10.20.0.12 : 0.50 2.25 0.30
10.20.0.13 : 0.50 0.40 0.30
{MARK} fping 0
{MARK} name compute1 0 10.10.0.12 STREAM compute1 10.10.0.12 DGRAM 10.10.0.12 RAW
{MARK} name compute2 0 10.10.0.13 STREAM compute2 10.10.0.13 DGRAM 10.10.0.13 RAW
{MARK} ssh compute2 0 
{MARK} ssh compute1 0 
{MARK} end
"""  # noqa: W291 (printf leaves a blank where a program wrote nothing)


def judged(text: str, ended: str = "") -> dict[tuple[CheckKind, str, str], CheckResult]:
    results = script.judge(OF_CONTROLLER, script.read(text, MARK), ended=ended)
    return {(result.kind, result.target, result.network): result for result in results}


def spoilt(old: str, new: str) -> dict[tuple[CheckKind, str, str], CheckResult]:
    assert old in HEALTHY
    return judged(HEALTHY.replace(old, new))


def test_every_pair_is_checked_on_every_network_they_share() -> None:
    pings = {(check.node, check.target, check.network) for check in CHECKS if check.kind is CheckKind.PING}
    assert len(pings) == 3 * 2 * 2
    assert ("compute2", "controller", "net1") in pings
    for kind, number in ((CheckKind.LOGIN, 3), (CheckKind.HOSTNAME, 3), (CheckKind.NAME, 6), (CheckKind.SSH, 6)):
        assert sum(check.kind is kind for check in CHECKS) == number


def test_a_ping_names_the_peers_address_and_the_nodes_own_interface() -> None:
    ping = next(check for check in CHECKS if check.kind is CheckKind.PING and check.network == "net1")
    assert (ping.node, ping.device, ping.target, ping.address) == ("controller", "eth1", "compute1", "10.20.0.12")


def test_nodes_on_no_common_network_do_not_ping() -> None:
    lab = make_lab(nodes=("one",))
    assert [check.kind for check in script.expected(lab)] == [CheckKind.LOGIN, CheckKind.HOSTNAME]


def test_login_is_always_among_the_checks() -> None:
    assert {check.kind for check in script.expected(LAB, {CheckKind.PING})} == {CheckKind.LOGIN, CheckKind.PING}


def test_the_expected_checks_have_one_order() -> None:
    assert script.expected(LAB) == CHECKS
    assert len(set(CHECKS)) == len(CHECKS)


def test_one_fping_asks_for_all_addresses() -> None:
    text = script.render(OF_CONTROLLER, MARK)
    assert text.count("\nfping ") == 1
    assert all(address in text for address in ("10.10.0.12", "10.10.0.13", "10.20.0.12", "10.20.0.13"))


def test_only_what_is_asked_is_in_the_script() -> None:
    text = script.render([check for check in OF_CONTROLLER if check.kind is CheckKind.SSH][:1], MARK)
    assert "reach compute1 &" in text
    for absent in ("compute2", "\nfping", "lookup c", "hostname"):
        assert absent not in text


def test_the_turn_rotates_whom_a_node_logs_in_to_first() -> None:
    def order(turn: int) -> list[str]:
        lines = script.render(OF_CONTROLLER, MARK, turn=turn).splitlines()
        return [line.split()[1] for line in lines if line.startswith("reach ")]

    assert order(0) == ["compute1", "compute2"]
    assert order(1) == ["compute2", "compute1"]
    assert order(2) == order(0)


def test_many_peers_are_logged_in_to_a_few_at_a_time() -> None:
    lab = make_lab(nodes=tuple(f"n{number}" for number in range(12)))
    checks = [check for check in script.expected(lab) if check.node == "n0"]
    lines = script.render(checks, MARK).splitlines()
    at_once = longest = 0
    for line in lines:
        at_once = at_once + 1 if line.startswith("reach ") else 0 if line == "wait" else at_once
        longest = max(longest, at_once)
    assert longest == 4
    assert script.time_limit_s(checks) > script.time_limit_s(OF_CONTROLLER)


def test_the_script_checks_host_keys() -> None:
    assert "StrictHostKeyChecking=yes" in script.render(OF_CONTROLLER, MARK)


def test_a_healthy_answer_passes_everything() -> None:
    results = judged(HEALTHY)
    assert len(results) == len(OF_CONTROLLER) - 1
    assert all(result.is_passed for result in results.values())
    assert results[CheckKind.PING, "compute1", "net1"].rtt_ms == 2.25


def test_a_silent_address_fails_that_ping_alone() -> None:
    results = spoilt("10.20.0.12 : 0.50 2.25 0.30", "10.20.0.12 : - - -")
    bad = [key for key, result in results.items() if not result.is_passed]
    assert bad == [(CheckKind.PING, "compute1", "net1")]
    assert results[bad[0]].status is CheckStatus.FAILED
    assert results[bad[0]].detail == "no reply to 3 pings"


def test_a_lost_packet_fails_with_the_count() -> None:
    result = spoilt("10.20.0.12 : 0.50 2.25 0.30", "10.20.0.12 : 0.50 - 0.30")[CheckKind.PING, "compute1", "net1"]
    assert (result.status, result.detail) == (CheckStatus.FAILED, "2 replies to 3 pings")


def test_a_missing_fping_is_an_error_that_says_so() -> None:
    text = HEALTHY.replace(f"{MARK} fping 0", f"sh: 1: fping: not found\n{MARK} fping 127")
    result = judged(text)[CheckKind.PING, "compute1", "net0"]
    assert (result.status, result.detail) == (CheckStatus.ERROR, "fping is not installed on controller")


def test_an_fping_without_an_answer_is_an_error_with_its_words() -> None:
    text = HEALTHY.replace("10.20.0.12 : 0.50 2.25 0.30\n", "fping: can't create socket\n").replace(
        "fping 0", "fping 4"
    )
    result = judged(text)[CheckKind.PING, "compute1", "net1"]
    assert result.status is CheckStatus.ERROR
    assert "exit code 4" in result.detail
    assert "can't create socket" in result.output


@pytest.mark.parametrize(
    ("said", "status", "detail"),
    [
        ("2 ", CheckStatus.FAILED, "compute1 is not known on controller"),
        ("0 127.0.1.1 STREAM x", CheckStatus.FAILED, "is 127.0.1.1 there, not 10.10.0.12"),
        (
            "0 10.20.0.12 STREAM x 10.10.0.12 STREAM x",
            CheckStatus.FAILED,
            "is 10.20.0.12, 10.10.0.12 there, not 10.10.0.12",
        ),
        ("127 sh: getent: not found", CheckStatus.ERROR, "getent is not installed on controller"),
    ],
)
def test_a_name_must_lead_to_the_access_address(said: str, status: CheckStatus, detail: str) -> None:
    good = "0 10.10.0.12 STREAM compute1 10.10.0.12 DGRAM 10.10.0.12 RAW"
    result = spoilt(good, said)[CheckKind.NAME, "compute1", "net0"]
    assert (result.status, result.detail) == (status, detail)


@pytest.mark.parametrize(
    ("said", "status", "detail"),
    [
        ("255 ssh: connect to host compute1 port 22: Connection refused", CheckStatus.FAILED, "refused"),
        ("255 Host key verification failed.", CheckStatus.FAILED, "HOST KEY MISMATCH"),
        ("124 ", CheckStatus.FAILED, "timed out after 20 s"),
        ("3 ", CheckStatus.FAILED, "ended with 3"),
        ("127 timeout: failed to run command 'ssh'", CheckStatus.ERROR, "ssh is not installed on controller"),
    ],
)
def test_ssh_between_nodes_says_why_it_failed(said: str, status: CheckStatus, detail: str) -> None:
    result = spoilt("ssh compute1 0 ", f"ssh compute1 {said}")[CheckKind.SSH, "compute1", "net0"]
    assert (result.status, result.detail) == (status, detail)


@pytest.mark.parametrize(
    ("name", "status"),
    [("localhost", CheckStatus.FAILED), ("controller.lab", CheckStatus.PASSED), ("", CheckStatus.FAILED)],
)
def test_a_node_must_go_by_its_own_name(name: str, status: CheckStatus) -> None:
    result = spoilt("hostname controller", f"hostname {name}")[CheckKind.HOSTNAME, "controller", "net0"]
    assert result.status is status


def test_a_session_that_ends_early_leaves_errors_with_the_reason() -> None:
    results = judged(HEALTHY[: HEALTHY.index(f"{MARK} ssh compute2")], ended="connection closed")
    assert results[CheckKind.PING, "compute1", "net0"].is_passed
    for peer in ("compute1", "compute2"):
        result = results[CheckKind.SSH, peer, "net0"]
        assert result.status is CheckStatus.ERROR
        assert result.detail == "the session ended before this check: connection closed"


def test_an_answer_cut_anywhere_never_fails_a_check_nor_passes_them_all() -> None:
    whole = len(HEALTHY) - len(f"{MARK} end\n")
    for length in range(len(HEALTHY)):
        statuses = {result.status for result in judged(HEALTHY[:length]).values()}
        assert CheckStatus.FAILED not in statuses, length
        assert length >= whole or CheckStatus.ERROR in statuses, length


def test_the_marker_of_another_run_counts_for_nothing() -> None:
    answer = script.read(HEALTHY, "stacklab-9999")
    assert not answer.is_begun
    assert answer == script.Answer()


@settings(deadline=None)  # a loaded machine is no bug
@given(st.text())
def test_garbage_is_an_error_and_never_raises(text: str) -> None:
    results = script.judge(OF_CONTROLLER, script.read(text, MARK))
    assert {result.status for result in results} == {CheckStatus.ERROR}


@settings(deadline=None)  # a loaded machine is no bug
@given(st.lists(st.sampled_from([*HEALTHY.splitlines(keepends=True), MARK, " ", "\n", "fping", "255", "\0"])))
def test_shuffled_pieces_of_an_answer_never_raise(pieces: list[str]) -> None:
    results = script.judge(OF_CONTROLLER, script.read("".join(pieces), MARK))
    assert len(results) == len(OF_CONTROLLER) - 1


@pytest.mark.parametrize("kind", CheckKind)
def test_every_check_says_what_to_type_again(kind: CheckKind) -> None:
    check: Check = next(check for check in CHECKS if check.kind is kind)
    line = script.command_line(check)
    assert line
    assert "\n" not in line


def test_a_name_is_checked_for_the_address_that_it_stands_for() -> None:
    lab = make_contrail(installer=Installer.KOLLA)
    found = [check for check in script.expected(lab) if check.kind in (CheckKind.NAME, CheckKind.SSH)]
    assert {check.network for check in found} == {"fabric"}
    assert {check.device for check in found} == {"eth1"}
    logins = [check for check in script.expected(lab) if check.kind is CheckKind.LOGIN]
    assert {check.network for check in logins} == {"mgmt"}
