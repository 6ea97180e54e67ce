"""SubprocessRunner against a real `sh`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from stacklab import process
from stacklab.errors import CommandFailed, CommandTimedOut, ToolNotFound
from stacklab.process import Command, SubprocessRunner

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


@pytest.mark.parametrize(("number", "words"), [(9, "was ended by SIGKILL"), (40, "was ended by signal 40")])
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
        RUNNER.run(_sh(f"echo $$ >{tmp_path}/pid; echo still here; exec sleep 60", what="waiting", timeout_s=0.3))
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


def test_a_command_that_ignores_kindness_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_GRACE_S", 0.2)
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
    threading.current_thread() is not threading.main_thread(), reason="signals arrive in the main thread only"
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
        threading.Thread(target=lambda i=i: results.append(RUNNER.run(_sh(f"sleep 0.3; echo {i}")).stdout))
        for i in range(8)
    ]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [f"{i}\n" for i in range(8)]
    assert time.monotonic() - started < 2.4 or sys.gettrace()
