"""SubprocessRunner against a real `sh`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO

import pytest

from stacklab.errors import CommandFailed, CommandTimedOut, ToolNotFound
from stacklab.process import Command, SubprocessRunner, signals
from stacklab.process import runner as process_runner

RUNNER = SubprocessRunner()


def _sh(script: str, **options: object) -> Command:
    return Command(argv=("sh", "-c", script), **options)  # type: ignore[arg-type]


def _pid_in(path: Path) -> int:
    deadline = time.monotonic() + 5
    while not (path.exists() and path.read_text().strip()):
        assert time.monotonic() < deadline, f"{path} was never written"
        time.sleep(0.01)
    return int(path.read_text())


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def _assert_gone(pid: int) -> None:
    deadline = time.monotonic() + 2
    while _is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _is_alive(pid)


def test_a_result_holds_both_streams_and_the_time() -> None:
    result = RUNNER.run(_sh("echo out; echo err >&2"))
    assert (result.exit_code, result.stdout, result.stderr) == (0, "out\n", "err\n")
    assert 0 < result.elapsed_s < 10


def test_output_that_is_no_utf8_is_kept_readable() -> None:
    assert RUNNER.run(_sh(r"printf 'a\377b'")).stdout == "a\N{REPLACEMENT CHARACTER}b"


def test_stdin_is_empty_unless_given() -> None:
    assert RUNNER.run(_sh("cat")).stdout == ""
    assert RUNNER.run(_sh("cat", stdin=b"given")).stdout == "given"


def test_a_command_need_not_read_all_of_its_stdin() -> None:
    assert RUNNER.run(_sh("exec true", stdin=b"x" * 1_000_000)).exit_code == 0


def test_none_unsets_a_variable_and_a_value_sets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEFT", "left")
    monkeypatch.setenv("GONE", "there")
    result = RUNNER.run(_sh('echo "$LEFT ${GONE-unset} $NEW"', env={"GONE": None, "NEW": "new"}))
    assert result.stdout == "left unset new\n"


def test_a_command_runs_where_it_is_told_to(tmp_path: Path) -> None:
    assert RUNNER.run(_sh("pwd -P", cwd=tmp_path)).stdout.strip() == str(tmp_path.resolve())


def test_a_missing_tool_is_named() -> None:
    with pytest.raises(ToolNotFound, match="no-such-tool is not installed"):
        RUNNER.run(Command(argv=("no-such-tool", "x")))


def test_a_tool_is_looked_for_on_the_path_that_the_command_gets(tmp_path: Path) -> None:
    tool = tmp_path / "only-here"
    tool.write_text("#!/bin/sh\necho found\n")
    tool.chmod(0o755)
    assert RUNNER.run(Command(argv=("only-here",), env={"PATH": str(tmp_path)})).stdout == "found\n"


def test_what_cannot_be_started_is_an_error_and_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"listing: sh cannot be started: .*gone"):
        RUNNER.run(_sh("true", what="listing", cwd=tmp_path / "gone"))


def test_a_failure_tells_the_purpose_the_line_the_code_and_the_last_lines() -> None:
    with pytest.raises(CommandFailed) as caught:
        RUNNER.run(_sh("seq 20 >&2; exit 7", what="counting"))
    lines = str(caught.value).splitlines()
    assert lines[0] == "counting: sh ended with 7"
    assert lines[1] == "  sh -c 'seq 20 >&2; exit 7'"
    assert lines[2:] == [f"  | {n}" for n in range(11, 21)]


def test_a_failure_that_wrote_only_blanks_to_stderr_shows_stdout() -> None:
    with pytest.raises(CommandFailed, match="the reason"):
        RUNNER.run(_sh("echo the reason; echo >&2; exit 1"))


def test_other_codes_may_be_expected() -> None:
    assert RUNNER.run(_sh("exit 4", ok_codes=(0, 4))).exit_code == 4
    with pytest.raises(CommandFailed, match="ended with 0"):
        RUNNER.run(_sh("exit 0", ok_codes=(4,)))


@pytest.mark.parametrize(
    ("number", "words"), [(9, "was ended by SIGKILL"), (40, "was ended by signal 40")]
)
def test_a_signal_is_named(number: int, words: str) -> None:
    with pytest.raises(CommandFailed, match=words):
        RUNNER.run(_sh(f"kill -{number} $$"))


def test_secrets_show_up_in_no_message(tmp_path: Path) -> None:
    for log in (None, tmp_path / "log"):
        with pytest.raises(CommandFailed) as caught:
            RUNNER.run(_sh("echo token=hunter2; exit 1", secrets=("hunter2",), log=log))
        assert "hunter2" not in str(caught.value)
        assert "  | token=***" in str(caught.value)


def test_a_log_gets_both_streams_and_is_appended_to(tmp_path: Path) -> None:
    log = tmp_path / "log"
    result = RUNNER.run(_sh("echo one; echo two >&2", log=log))
    RUNNER.run(_sh("echo three", log=log))
    assert log.read_text() == "one\ntwo\nthree\n"
    assert (result.stdout, result.stderr) == ("", "")


def test_a_failure_shows_its_own_part_of_the_log_and_where_it_lies(tmp_path: Path) -> None:
    log = tmp_path / "log"
    RUNNER.run(_sh("echo of another command", log=log))
    with pytest.raises(CommandFailed) as caught:
        RUNNER.run(_sh("echo mine; exit 1", log=log))
    assert "another" not in str(caught.value)
    assert str(caught.value).splitlines()[-2:] == ["  | mine", f"  log: {log}"]


def test_a_command_that_does_not_end_is_ended_and_what_it_said_is_shown(tmp_path: Path) -> None:
    with pytest.raises(CommandTimedOut, match=r"waiting: sh had no end after 0\.3 s") as caught:
        RUNNER.run(
            _sh(
                f"echo $$ >{tmp_path}/pid; echo still here; exec sleep 60",
                what="waiting",
                timeout_s=0.3,
            )
        )
    assert "  | still here" in str(caught.value)
    _assert_gone(_pid_in(tmp_path / "pid"))


def test_a_time_out_shows_the_end_of_the_log(tmp_path: Path) -> None:
    with pytest.raises(CommandTimedOut, match="still here"):
        RUNNER.run(_sh("echo still here; exec sleep 60", timeout_s=0.3, log=tmp_path / "log"))


def test_a_command_is_given_time_to_tidy_up(tmp_path: Path) -> None:
    script = f"trap 'echo tidy >{tmp_path}/tidy; exit 0' INT; sleep 60 & wait"
    with pytest.raises(CommandTimedOut):
        RUNNER.run(_sh(script, timeout_s=0.3))
    assert (tmp_path / "tidy").read_text() == "tidy\n"


def test_a_command_that_ignores_kindness_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "GRACE_S", 0.2)
    script = f"trap '' INT TERM; echo $$ >{tmp_path}/pid; while :; do sleep 0.1; done"
    with pytest.raises(CommandTimedOut):
        RUNNER.run(_sh(script, timeout_s=0.3))
    _assert_gone(_pid_in(tmp_path / "pid"))


def test_a_child_that_outlives_its_parent_is_ended_too(tmp_path: Path) -> None:
    # sh lets background children ignore SIGINT, so the sleep survives the kind way.
    with pytest.raises(CommandTimedOut):
        RUNNER.run(_sh(f"sleep 60 & echo $! >{tmp_path}/pid; wait", timeout_s=0.3))
    _assert_gone(_pid_in(tmp_path / "pid"))


def test_an_interactive_command_is_ended_too(tmp_path: Path) -> None:
    with pytest.raises(CommandTimedOut):
        RUNNER.run(_sh(f"echo $$ >{tmp_path}/pid; exec sleep 60", timeout_s=0.3, interactive=True))
    _assert_gone(_pid_in(tmp_path / "pid"))


def test_an_interactive_command_has_our_own_streams(capfd: pytest.CaptureFixture[str]) -> None:
    result = RUNNER.run(_sh("echo seen", interactive=True))
    assert (result.stdout, capfd.readouterr().out) == ("", "seen\n")


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(),
    reason="signals arrive in the main thread only",
)
def test_ctrl_c_ends_the_command_and_is_passed_on(tmp_path: Path) -> None:
    def press_ctrl_c() -> None:
        _pid_in(tmp_path / "pid")
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press_ctrl_c)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        RUNNER.run(_sh(f"echo $$ >{tmp_path}/pid; exec sleep 60"))
    presser.join()
    _assert_gone(_pid_in(tmp_path / "pid"))


def test_ctrl_c_while_a_command_is_being_started_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = process_runner._start_process

    def start_and_press(command: Command, log: BinaryIO | None) -> subprocess.Popen[bytes]:
        started = start(command, log)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)  # Python runs the handler here, before anybody knows the process
        return started

    monkeypatch.setattr(process_runner, "_start_process", start_and_press)
    for interactive in (False, True):
        with pytest.raises(KeyboardInterrupt):
            RUNNER.run(_sh(f"echo $$ >{tmp_path}/pid; exec sleep 60", interactive=interactive))
        _assert_gone(_pid_in(tmp_path / "pid"))
        (tmp_path / "pid").unlink()


def test_a_daemon_that_left_the_session_is_left_alone(tmp_path: Path) -> None:
    daemonize = f"setsid sh -c 'echo $$ >{tmp_path}/pid; exec sleep 5' </dev/null >/dev/null 2>&1 &"
    with pytest.raises(CommandTimedOut):
        RUNNER.run(_sh(f"{daemonize} sleep 60", timeout_s=0.5))
    pid = _pid_in(tmp_path / "pid")
    assert _is_alive(pid)
    os.kill(pid, signal.SIGKILL)


def test_many_commands_run_side_by_side() -> None:
    results: list[str] = []
    threads = [
        threading.Thread(
            target=lambda i=i: results.append(RUNNER.run(_sh(f"sleep 0.3; echo {i}")).stdout)
        )
        for i in range(8)
    ]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [f"{i}\n" for i in range(8)]
    assert time.monotonic() - started < 2.4 or sys.gettrace()


class Heard:
    """What a conversation brought, line by line."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, float]] = []

    def __call__(self, line: str, at: float) -> None:
        self.lines.append((line, at))

    @property
    def texts(self) -> list[str]:
        return [line for line, _ in self.lines]


def test_a_conversation_is_heard_while_it_goes_on() -> None:
    heard = Heard()
    began = time.time()
    result = RUNNER.converse(
        _sh("echo one; sleep 0.5; printf 'tw'; sleep 0.3; echo o"), heard=heard
    )
    ended = time.time()
    assert heard.texts == ["one", "two"]
    first, second = (at for _, at in heard.lines)
    assert began <= first <= second <= ended
    assert second - first > 0.7
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.elapsed_s > 0.7


def test_a_last_line_that_was_cut_off_is_not_heard() -> None:
    heard = Heard()
    RUNNER.converse(_sh("echo whole; printf 'cut of'"), heard=heard)
    assert heard.texts == ["whole"]


def test_what_is_no_utf8_is_heard_all_the_same() -> None:
    heard = Heard()
    RUNNER.converse(_sh(r"printf 'a\377b\n\nc\r\n'"), heard=heard)
    assert heard.texts == ["a\N{REPLACEMENT CHARACTER}b", "", "c\r"]


def test_much_is_said_and_heard_at_the_same_time() -> None:
    """Neither side waits for the other to be done: cat would block, and so would we."""
    heard = Heard()
    said = b"".join(b"%07d\n" % number for number in range(200_000))
    RUNNER.converse(_sh("cat", stdin=said, timeout_s=60), heard=heard)
    assert len(heard.lines) == 200_000
    assert heard.texts[-1] == "0199999"


def test_one_who_does_not_listen_is_still_heard() -> None:
    heard = Heard()
    result = RUNNER.converse(
        _sh("exec 0<&-; echo deaf; exit 3", stdin=b"x" * 1_000_000, ok_codes=(3,)), heard=heard
    )
    assert (heard.texts, result.exit_code) == (["deaf"], 3)


def test_stdin_is_empty_unless_given_to_a_conversation() -> None:
    heard = Heard()
    RUNNER.converse(_sh("cat; echo end", timeout_s=10), heard=heard)
    assert heard.texts == ["end"]


def test_stderr_of_a_conversation_is_kept_apart() -> None:
    heard = Heard()
    result = RUNNER.converse(_sh("echo out; seq 30000 >&2; echo more"), heard=heard)
    assert heard.texts == ["out", "more"]
    assert result.stderr.endswith("29999\n30000\n")


def test_a_conversation_that_fails_tells_what_stderr_said() -> None:
    heard = Heard()
    with pytest.raises(CommandFailed, match="the reason") as caught:
        RUNNER.converse(_sh("echo heard; echo the reason >&2; exit 7", what="asking"), heard=heard)
    assert str(caught.value).splitlines()[0] == "asking: sh ended with 7"
    assert heard.texts == ["heard"]


def test_a_conversation_without_end_is_ended_and_keeps_what_was_heard(tmp_path: Path) -> None:
    heard = Heard()
    script = f"echo $$ >{tmp_path}/pid; echo one; echo last words >&2; echo two; exec sleep 60"
    with pytest.raises(CommandTimedOut, match=r"asking: sh had no end after 0\.5 s") as caught:
        RUNNER.converse(_sh(script, what="asking", timeout_s=0.5), heard=heard)
    assert "  | last words" in str(caught.value)
    assert heard.texts == ["one", "two"]
    _assert_gone(_pid_in(tmp_path / "pid"))


def test_one_who_never_stops_talking_is_ended_too() -> None:
    heard = Heard()
    started = time.monotonic()
    with pytest.raises(CommandTimedOut):
        RUNNER.converse(_sh("exec yes", timeout_s=0.5), heard=heard)
    assert time.monotonic() - started < 10
    assert set(heard.texts) == {"y"}


def test_a_conversation_is_ended_when_there_is_a_reason(tmp_path: Path) -> None:
    heard = Heard()
    started = time.monotonic()

    def why_stop() -> str:
        return "the node is paused" if heard.lines and time.monotonic() - started > 0.5 else ""

    script = f"echo $$ >{tmp_path}/pid; echo one; exec sleep 60"
    with pytest.raises(CommandFailed, match="asking: sh was ended: the node is paused"):
        RUNNER.converse(_sh(script, what="asking", timeout_s=60), heard=heard, why_stop=why_stop)
    assert heard.texts == ["one"]
    assert time.monotonic() - started < 5
    _assert_gone(_pid_in(tmp_path / "pid"))


def test_one_who_ignores_kindness_is_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "GRACE_S", 0.2)
    heard = Heard()
    script = f"trap '' INT TERM; echo $$ >{tmp_path}/pid; while :; do echo still; sleep 0.1; done"
    started = time.monotonic()
    with pytest.raises(CommandFailed, match="was ended: enough"):
        RUNNER.converse(
            _sh(script), heard=heard, why_stop=lambda: "enough" if len(heard.lines) > 2 else ""
        )
    assert time.monotonic() - started < 5
    _assert_gone(_pid_in(tmp_path / "pid"))


def test_a_daemon_that_keeps_the_streams_is_not_waited_for(tmp_path: Path) -> None:
    """ssh's shared connection lives on with our stderr in its hands."""
    heard = Heard()
    script = f"echo one; setsid sh -c 'echo $$ >{tmp_path}/pid; exec sleep 20' & echo two"
    started = time.monotonic()
    try:
        result = RUNNER.converse(_sh(script, timeout_s=60), heard=heard)
        assert time.monotonic() - started < 5
    finally:
        os.kill(_pid_in(tmp_path / "pid"), signal.SIGKILL)
    assert (result.exit_code, heard.texts) == (0, ["one", "two"])


def test_endless_words_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_runner, "_KEPT_MAX", 1000)
    heard = Heard()
    script = "yes | tr -d '\\n' | head -c 5000000; echo; yes err | head -c 5000000 >&2"
    result = RUNNER.converse(_sh(script), heard=heard)
    assert len(heard.texts[0]) < 200_000
    assert len(result.stderr) == 1000


def test_a_bug_in_the_hearer_ends_the_command(tmp_path: Path) -> None:
    def stub_raises(line: str, at: float) -> None:
        raise ValueError(line)

    with pytest.raises(ValueError, match="one"):
        RUNNER.converse(_sh(f"echo $$ >{tmp_path}/pid; echo one; exec sleep 60"), heard=stub_raises)
    _assert_gone(_pid_in(tmp_path / "pid"))


def test_a_missing_tool_is_named_before_anything_is_said() -> None:
    heard = Heard()
    with pytest.raises(ToolNotFound, match="no-such-tool is not installed"):
        RUNNER.converse(Command(argv=("no-such-tool", "x"), stdin=b"hello"), heard=heard)
    assert heard.lines == []


def test_a_secret_is_masked_in_a_conversation_that_fails() -> None:
    with pytest.raises(CommandFailed) as caught:
        RUNNER.converse(_sh("echo token=hunter2 >&2; exit 1", secrets=("hunter2",)), heard=Heard())
    assert "hunter2" not in str(caught.value)


def test_all_that_runs_can_be_stopped_from_outside() -> None:
    runner = SubprocessRunner()
    caught: list[BaseException] = []

    def converse() -> None:
        try:
            runner.converse(_sh("exec sleep 60"), heard=Heard())
        except CommandFailed as error:
            caught.append(error)

    thread = threading.Thread(target=converse)
    thread.start()
    time.sleep(0.3)
    runner.stop_all()
    thread.join(10)
    assert not thread.is_alive()
    assert "was ended by SIGINT" in str(caught[0])


# --- what is kept


def test_of_an_endless_output_the_beginning_is_kept_and_the_rest_is_counted() -> None:
    result = RUNNER.run(_sh("yes | head -c 5000000; echo err >&2", most_bytes=1000))
    assert (result.stdout, result.left_out) == ("y\n" * 500, 5_000_000 - 1000)
    assert result.stderr == "err\n(4999000 bytes of its output were left out)\n"
    assert RUNNER.run(_sh("echo out")).left_out == 0


def test_of_an_endless_stderr_the_end_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_runner, "_KEPT_MAX", 1000)
    result = RUNNER.run(_sh("yes | head -c 5000000 >&2; printf end >&2"))
    assert len(result.stderr) == 1000
    assert result.stderr.endswith("y\nend")


def test_a_stream_is_handed_out_line_by_line_as_it_came() -> None:
    out: list[bytes] = []
    err: list[bytes] = []
    moments: list[float] = []

    def take(line: bytes) -> None:
        moments.append(time.monotonic())
        out.append(line)

    script = r"printf 'a\377\r\n'; echo bad >&2; sleep 0.5; printf 'b\n\nlast'; exit 3"
    result = RUNNER.stream(_sh(script, ok_codes=(3,)), out=take, err=err.append)
    assert out == [b"a\xff\r\n", b"b\n", b"\n", b"last"]
    assert err == [b"bad\n"]
    assert moments[1] - moments[0] > 0.3, "it waited for the end"
    assert (result.exit_code, result.stdout, result.stderr) == (3, "", "")


def test_a_line_without_end_is_cut_and_the_next_one_is_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_runner, "_KEPT_MAX", 10)
    out: list[bytes] = []
    script = "yes | tr -d '\\n' | head -c 5000000; echo; echo next"
    RUNNER.stream(_sh(script), out=out.append, err=out.append)
    assert out == [b"yyyyyyyyyy (cut off here)\n", b"next\n"]


def test_what_cannot_be_printed_any_more_ends_a_stream(tmp_path: Path) -> None:
    def stub_raises(line: bytes) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        RUNNER.stream(_sh(f"echo $$ >{tmp_path}/pid; yes"), out=stub_raises, err=lambda line: None)
    _assert_gone(_pid_in(tmp_path / "pid"))
