from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stacklab
from stacklab.paths import HostPaths, LabPaths
from stacklab.tools import ssh
from tests.unit.checks.fake_lab import late, make_lab

PATHS = HostPaths(Path("/var/lib/stacklab")).lab("trio")


def deep_paths(sockets_bytes: int) -> LabPaths:
    """A lab whose longest socket path (`.../ctl/controller`) has that many bytes."""
    fixed = len("//labs/trio/ctl/controller")
    return HostPaths(Path("/" + "d" * (sockets_bytes - fixed))).lab("trio")


def test_every_node_has_an_entry_at_its_access_address() -> None:
    text = ssh.render_config(make_lab(), PATHS)
    for name, address in (
        ("controller", "10.10.0.11"),
        ("compute1", "10.10.0.12"),
        ("compute2", "10.10.0.13"),
    ):
        assert f"Host {name}\n  HostName {address}\n" in text


def test_host_keys_are_checked_and_never_learnt() -> None:
    text = ssh.render_config(make_lab(), PATHS)
    assert "StrictHostKeyChecking yes" in text
    assert 'UserKnownHostsFile "/var/lib/stacklab/labs/trio/known_hosts"' in text
    assert "GlobalKnownHostsFile /dev/null" in text
    assert "UpdateHostKeys no" in text


def test_no_source_file_turns_host_key_checking_off() -> None:
    root = Path(stacklab.__file__).parent
    wrong = (
        "StrictHostKeyChecking" + " no",
        "StrictHostKeyChecking" + "=no",
        "StrictHostKeyChecking" + "=accept-new",
    )
    files = [path for path in root.rglob("*") if path.suffix in {".py", ".j2", ".sh"}]
    assert not [
        path for path in files for word in wrong if word in path.read_text(encoding="utf-8")
    ]


def test_connections_are_shared_by_a_socket_per_node() -> None:
    assert 'ControlPath "/var/lib/stacklab/labs/trio/ctl/%n"' in ssh.render_config(
        make_lab(), PATHS
    )


def test_sharing_ends_where_the_socket_with_its_suffix_has_no_room() -> None:
    lab = make_lab()
    assert len(str(deep_paths(90).sockets / "controller")) == 90
    assert "ControlPath" in ssh.render_config(lab, deep_paths(90))
    assert "Control" not in ssh.render_config(lab, deep_paths(91))


def test_bytes_count_for_a_socket_not_characters() -> None:
    assert not ssh.can_share(make_lab(), HostPaths(Path("/" + "é" * 40)).lab("trio"))


def test_a_script_goes_by_stdin_and_any_exit_code_is_an_answer() -> None:
    command = ssh.script_command(PATHS, "compute1", "echo hi\n", timeout_s=7)
    assert command.argv == ("ssh", "-F", str(PATHS.ssh_config), "-T", "--", "compute1", "sh -s")
    assert (command.stdin, command.timeout_s) == (b"echo hi\n", 7)
    assert set(range(256)) <= set(command.ok_codes)


def test_words_of_a_command_arrive_as_they_were_given() -> None:
    assert (
        ssh.exec_command(PATHS, "compute1", ["echo", "a b", "$HOME"]).argv[-1]
        == "echo 'a b' '$HOME'"
    )


def test_a_single_word_is_a_line_for_the_nodes_shell() -> None:
    assert ssh.exec_command(PATHS, "compute1", ["uptime; id"]).argv[-1] == "uptime; id"


def test_a_command_that_looks_like_an_option_stays_behind_the_node() -> None:
    argv = ssh.exec_command(PATHS, "compute1", ["-oProxyCommand=x", "y"]).argv
    assert argv.index("--") < argv.index("compute1") < len(argv) - 1


def test_login_keeps_the_terminal() -> None:
    command = ssh.login_command(PATHS, "compute1")
    assert command.interactive
    assert "-T" not in command.argv


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_command_in_place_of_the_shell_has_a_terminal_if_there_is_one(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    monkeypatch.setattr(ssh.os, "isatty", lambda _descriptor: is_terminal)
    command = ssh.login_command(PATHS, "compute1", ("top", "-n 1"))
    assert command.interactive
    assert ("-t" in command.argv) is is_terminal
    assert command.argv[-3:] == ("--", "compute1", "top '-n 1'")


def test_closing_a_connection_that_is_not_there_is_fine() -> None:
    command = ssh.close_command(PATHS, "compute1")
    assert command.argv[3:5] == ("-O", "exit")
    assert 255 in command.ok_codes


CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
Host key for compute1 has changed and you have requested strict checking.
Host key verification failed.
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ssh: connect to host 10.10.0.12 port 22: Connection refused", "refused"),
        ("ssh: connect to host 10.10.0.12 port 22: Connection timed out", "timed out"),
        ("Connection timed out during banner exchange", "timed out"),
        ("Timeout, server 10.10.0.12 not responding.", "timed out"),
        ("no end after 60 s while running a script on compute1: ssh", "timed out"),
        ("ssh: connect to host 10.10.0.12 port 22: No route to host", "unreachable"),
        ("ssh: connect to host 10.10.0.12 port 22: Network is unreachable", "unreachable"),
        ("stack@10.10.0.12: Permission denied (publickey).", "permission denied"),
        ("ssh: Could not resolve hostname compute9: Name or service not known", "name not known"),
        ("kex_exchange_identification: Connection closed by remote host", "connection closed"),
        (
            "No ED25519 host key is known for compute1 and you have requested strict checking.",
            "HOST KEY MISMATCH",
        ),
        (CHANGED, "HOST KEY MISMATCH"),
        (CHANGED + "stack@10.10.0.12: Permission denied (publickey).", "HOST KEY MISMATCH"),
        ("something else", ""),
        ("", ""),
    ],
)
def test_the_cause_is_named_in_a_few_words(text: str, words: str) -> None:
    assert ssh.classify(text) == words


@settings(deadline=None)  # a loaded machine is no bug
@given(st.text())
def test_no_text_makes_the_classifier_raise(text: str) -> None:
    assert isinstance(ssh.classify(text), str)


def test_a_login_may_take_as_long_as_the_declared_delay_makes_it() -> None:
    """It had 10 s: with a delay of 5 s on its first NIC no healthy node could be logged in on."""
    for lab, seconds in ((make_lab(), 10), (late(make_lab(), 5000), 70)):
        assert ssh.patience_s(lab) == seconds
        assert f"ConnectTimeout {seconds}\n" in ssh.render_config(lab, PATHS)
