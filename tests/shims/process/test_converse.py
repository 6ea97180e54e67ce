"""Commands heard line by line, or handed out as a stream."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from stacklab.errors import CommandFailed, CommandTimedOut, ToolNotFound
from stacklab.process import Command, runner, signals
from tests.shims.process.commands import RUNNER, Heard, assert_gone, pid_in, sh


def test_a_conversation_is_heard_while_it_goes_on() -> None:
    heard = Heard()
    began = time.time()
    result = RUNNER.converse(sh("echo one; sleep 0.5; printf 'tw'; sleep 0.3; echo o"), heard=heard)
    ended = time.time()
    assert heard.texts == ["one", "two"]
    first, second = (at for _, at in heard.lines)
    assert began <= first <= second <= ended
    assert second - first > 0.7
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.elapsed_s > 0.7


def test_a_last_line_that_was_cut_off_is_not_heard() -> None:
    heard = Heard()
    RUNNER.converse(sh("echo whole; printf 'cut of'"), heard=heard)
    assert heard.texts == ["whole"]


def test_what_is_no_utf8_is_heard_all_the_same() -> None:
    heard = Heard()
    RUNNER.converse(sh(r"printf 'a\377b\n\nc\r\n'"), heard=heard)
    assert heard.texts == ["a\N{REPLACEMENT CHARACTER}b", "", "c\r"]


def test_much_is_said_and_heard_at_the_same_time() -> None:
    """Neither side waits for the other to be done: cat would block, and so would we."""
    heard = Heard()
    said = b"".join(b"%07d\n" % number for number in range(200_000))
    RUNNER.converse(sh("cat", stdin=said, timeout_s=60), heard=heard)
    assert len(heard.lines) == 200_000
    assert heard.texts[-1] == "0199999"


def test_one_who_does_not_listen_is_still_heard() -> None:
    heard = Heard()
    result = RUNNER.converse(
        sh("exec 0<&-; echo deaf; exit 3", stdin=b"x" * 1_000_000, ok_codes=(3,)), heard=heard
    )
    assert (heard.texts, result.exit_code) == (["deaf"], 3)


def test_stdin_is_empty_unless_given_to_a_conversation() -> None:
    heard = Heard()
    RUNNER.converse(sh("cat; echo end", timeout_s=10), heard=heard)
    assert heard.texts == ["end"]


def test_stderr_of_a_conversation_is_kept_apart() -> None:
    heard = Heard()
    result = RUNNER.converse(sh("echo out; seq 30000 >&2; echo more"), heard=heard)
    assert heard.texts == ["out", "more"]
    assert result.stderr.endswith("29999\n30000\n")


def test_a_conversation_that_fails_tells_what_stderr_said() -> None:
    heard = Heard()
    with pytest.raises(CommandFailed, match="the reason") as caught:
        RUNNER.converse(sh("echo heard; echo the reason >&2; exit 7", what="asking"), heard=heard)
    assert str(caught.value).splitlines()[0] == "asking: sh ended with 7"
    assert heard.texts == ["heard"]


def test_a_conversation_without_end_is_ended_and_keeps_what_was_heard(tmp_path: Path) -> None:
    heard = Heard()
    script = f"echo $$ >{tmp_path}/pid; echo one; echo last words >&2; echo two; exec sleep 60"
    with pytest.raises(CommandTimedOut, match=r"asking: sh had no end after 0\.5 s") as caught:
        RUNNER.converse(sh(script, what="asking", timeout_s=0.5), heard=heard)
    assert "  | last words" in str(caught.value)
    assert heard.texts == ["one", "two"]
    assert_gone(pid_in(tmp_path / "pid"))


def test_one_who_never_stops_talking_is_ended_too() -> None:
    heard = Heard()
    started = time.monotonic()
    with pytest.raises(CommandTimedOut):
        RUNNER.converse(sh("exec yes", timeout_s=0.5), heard=heard)
    assert time.monotonic() - started < 10
    assert set(heard.texts) == {"y"}


def test_a_conversation_is_ended_when_there_is_a_reason(tmp_path: Path) -> None:
    heard = Heard()
    started = time.monotonic()

    def why_stop() -> str:
        return "the node is paused" if heard.lines and time.monotonic() - started > 0.5 else ""

    script = f"echo $$ >{tmp_path}/pid; echo one; exec sleep 60"
    with pytest.raises(CommandFailed, match="asking: sh was ended: the node is paused"):
        RUNNER.converse(sh(script, what="asking", timeout_s=60), heard=heard, why_stop=why_stop)
    assert heard.texts == ["one"]
    assert time.monotonic() - started < 30
    assert_gone(pid_in(tmp_path / "pid"))


def test_one_who_ignores_kindness_is_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "GRACE_S", 0.2)
    heard = Heard()
    script = f"trap '' INT TERM; echo $$ >{tmp_path}/pid; while :; do echo still; sleep 0.1; done"
    started = time.monotonic()
    with pytest.raises(CommandFailed, match="was ended: enough"):
        RUNNER.converse(
            sh(script), heard=heard, why_stop=lambda: "enough" if len(heard.lines) > 2 else ""
        )
    assert time.monotonic() - started < 30
    assert_gone(pid_in(tmp_path / "pid"))


def test_a_daemon_that_keeps_the_streams_is_not_waited_for(tmp_path: Path) -> None:
    """ssh's shared connection lives on with our stderr in its hands."""
    heard = Heard()
    script = f"echo one; setsid sh -c 'echo $$ >{tmp_path}/pid; exec sleep 60' & echo two"
    started = time.monotonic()
    try:
        result = RUNNER.converse(sh(script, timeout_s=60), heard=heard)
        assert time.monotonic() - started < 30
    finally:
        os.kill(pid_in(tmp_path / "pid"), signal.SIGKILL)
    assert (result.exit_code, heard.texts) == (0, ["one", "two"])


def test_endless_words_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_KEPT_MAX", 1000)
    heard = Heard()
    script = "yes | tr -d '\\n' | head -c 5000000; echo; yes err | head -c 5000000 >&2"
    result = RUNNER.converse(sh(script), heard=heard)
    assert len(heard.texts[0]) < 200_000
    assert len(result.stderr) == 1000


def test_a_bug_in_the_hearer_ends_the_command(tmp_path: Path) -> None:
    def stub_raises(line: str, at: float) -> None:
        raise ValueError(line)

    with pytest.raises(ValueError, match="one"):
        RUNNER.converse(sh(f"echo $$ >{tmp_path}/pid; echo one; exec sleep 60"), heard=stub_raises)
    assert_gone(pid_in(tmp_path / "pid"))


def test_a_missing_tool_is_named_before_anything_is_said() -> None:
    heard = Heard()
    with pytest.raises(ToolNotFound, match="no-such-tool is not installed"):
        RUNNER.converse(Command(argv=("no-such-tool", "x"), stdin=b"hello"), heard=heard)
    assert heard.lines == []


def test_a_secret_is_masked_in_a_conversation_that_fails() -> None:
    with pytest.raises(CommandFailed) as caught:
        RUNNER.converse(sh("echo token=hunter2 >&2; exit 1", secrets=("hunter2",)), heard=Heard())
    assert "hunter2" not in str(caught.value)
