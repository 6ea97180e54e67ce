"""Bytes through a command, in both directions at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab.errors import CommandFailed
from tests.shims.process.commands import RUNNER, assert_gone, pid_in, sh


def test_more_than_any_pipe_holds_goes_through_and_empty_pieces_do_not_end_it() -> None:
    out = bytearray()

    def feed() -> Iterator[bytes]:
        for number in range(200):
            yield b""
            yield bytes([number]) * 50_001
        yield b""

    result = RUNNER.pipe(sh("cat; echo err >&2"), feed=feed(), take=out.extend)
    assert bytes(out) == b"".join(bytes([number]) * 50_001 for number in range(200))
    assert (result.stdout, result.stderr) == ("", "err\n")


def test_without_a_feed_stdin_is_empty() -> None:
    out = bytearray()
    RUNNER.pipe(sh("wc -c"), feed=(), take=out.extend)
    assert out.strip() == b"0"


def test_a_command_that_fails_in_the_middle_says_so() -> None:
    with pytest.raises(CommandFailed, match="broken"):
        RUNNER.pipe(
            sh("head -c 10 >/dev/null; echo broken >&2; exit 3"),
            feed=(b"x" * 65536 for _ in range(100)),
            take=lambda _piece: None,
        )


def test_what_takes_or_feeds_may_end_it(tmp_path: Path) -> None:
    def stub_raises(_piece: bytes) -> None:
        raise ValueError("enough")

    def feed_that_raises() -> Iterator[bytes]:
        yield b"x"
        raise ValueError("enough")

    command = sh(f"echo $$ >{tmp_path}/pid; cat; sleep 60")
    began = time.monotonic()
    with pytest.raises(ValueError, match="enough"):
        RUNNER.pipe(command, feed=(b"x",), take=stub_raises)
    assert_gone(pid_in(tmp_path / "pid"))
    with pytest.raises(ValueError, match="enough"):
        RUNNER.pipe(command, feed=feed_that_raises(), take=lambda _piece: None)
    assert_gone(pid_in(tmp_path / "pid"))
    assert time.monotonic() - began < 30
