"""What nodes print, on a terminal and in a pipe."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from stacklab.errors import CommandFailed
from stacklab.views import output

CI_VARIABLES = ("CI", "TF_BUILD", "JENKINS_URL", "TEAMCITY_VERSION")
HOSTILE = b"said \x1b[1A\x1b[2K\x1b]52;c;ZXZpbA==\x07\xe2\x80\xaeevil\rnode2 | forged\xff\n"


class Terminal(io.TextIOWrapper):
    def __init__(self, *, is_terminal: bool) -> None:
        self.bytes = io.BytesIO()
        self._is_terminal = is_terminal
        super().__init__(self.bytes, encoding="utf-8")

    def isatty(self) -> bool:
        return self._is_terminal


def shown_on(monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool) -> Terminal:
    """Both streams; in the test itself, for pytest sets its own again before each test."""
    for variable in CI_VARIABLES:  # these tests may run in a job themselves
        monkeypatch.delenv(variable, raising=False)
    made = Terminal(is_terminal=is_terminal)
    monkeypatch.setattr(sys, "stdout", made)
    monkeypatch.setattr(sys, "stderr", made)
    return made


def test_on_a_terminal_no_line_of_a_node_looks_like_another_node_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = shown_on(monkeypatch, is_terminal=True)
    shown = output.ByNode(["node1", "node2"])
    shown.out("node1", HOSTILE)
    shown.err("node1", HOSTILE)
    shown.ended("node1", CommandFailed("lost\x1b[2J\nnode2 | forged"))
    lines = terminal.bytes.getvalue().decode().splitlines()
    assert lines == [
        "node1 | said evil",
        "node1 | node2 | forged\N{REPLACEMENT CHARACTER}",
        "node1 | said evil",
        "node1 | node2 | forged\N{REPLACEMENT CHARACTER}",
        "node1 | lost",
        "node1 | node2 | forged",
    ]


def test_into_a_pipe_the_bytes_stay_as_they_came(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = shown_on(monkeypatch, is_terminal=False)
    shown = output.ByNode(["node1", "longer-name"])
    shown.out("node1", HOSTILE)
    shown.out("node1", b"a\r\n")
    shown.out("node1", b"no newline")
    assert pipe.bytes.getvalue() == (
        b"node1       | " + HOSTILE + b"node1       | a\r\nnode1       | no newline\n"
    )


def test_a_console_is_safe_on_a_terminal_and_raw_in_a_pipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = shown_on(monkeypatch, is_terminal=True)
    show = output.console_printer()
    assert show is not None
    show(b"\x1b[2J\x1b]0;owned\x07[  OK  ] Started ssh\r\n")
    show(b"\r\n")
    assert terminal.bytes.getvalue() == b"[  OK  ] Started ssh\n\n"
    shown_on(monkeypatch, is_terminal=False)
    assert output.console_printer() is None


@pytest.mark.parametrize("variable", CI_VARIABLES)
def test_the_log_of_a_ci_job_gets_no_orders_of_a_node(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    pipe = shown_on(monkeypatch, is_terminal=False)
    monkeypatch.setenv(variable, "true")
    output.ByNode(["n1"]).out("n1", b"a\r::error::forged ##[add-mask]b\x1b[2J\n")
    assert pipe.bytes.getvalue() == b"n1 | a\nn1 | : :error::forged # #[add-mask]b\n"
    assert output.console_printer() is not None


def test_a_file_of_a_ci_job_gets_the_bytes_as_they_came(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CI", "true")
    with (tmp_path / "out").open("w") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        output.ByNode(["n1"]).out("n1", b"\x1b[2J\xff\n")
    assert (tmp_path / "out").read_bytes() == b"n1 | \x1b[2J\xff\n"
