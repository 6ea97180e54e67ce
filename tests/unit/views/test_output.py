"""What nodes print, on a terminal and in a pipe."""

from __future__ import annotations

import io
import sys

import pytest

from stacklab.errors import CommandFailed
from stacklab.views import output

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
