"""SubprocessRunner.run against a real `sh`."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from stacklab.errors import CommandFailed, ToolNotFound
from stacklab.process import Command
from tests.shims.process.commands import RUNNER, sh


def test_a_result_holds_both_streams_and_the_time() -> None:
    result = RUNNER.run(sh("echo out; echo err >&2"))
    assert (result.exit_code, result.stdout, result.stderr) == (0, "out\n", "err\n")
    assert 0 < result.elapsed_s < 10


def test_output_that_is_no_utf8_is_kept_readable() -> None:
    assert RUNNER.run(sh(r"printf 'a\377b'")).stdout == "a\N{REPLACEMENT CHARACTER}b"


def test_stdin_is_empty_unless_given() -> None:
    assert RUNNER.run(sh("cat")).stdout == ""
    assert RUNNER.run(sh("cat", stdin=b"given")).stdout == "given"


def test_a_command_need_not_read_all_of_its_stdin() -> None:
    assert RUNNER.run(sh("exec true", stdin=b"x" * 1_000_000)).exit_code == 0


def test_none_unsets_a_variable_and_a_value_sets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEFT", "left")
    monkeypatch.setenv("GONE", "there")
    result = RUNNER.run(sh('echo "$LEFT ${GONE-unset} $NEW"', env={"GONE": None, "NEW": "new"}))
    assert result.stdout == "left unset new\n"


def test_a_command_runs_where_it_is_told_to(tmp_path: Path) -> None:
    assert RUNNER.run(sh("pwd -P", cwd=tmp_path)).stdout.strip() == str(tmp_path.resolve())


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
        RUNNER.run(sh("true", what="listing", cwd=tmp_path / "gone"))


def test_a_failure_tells_the_purpose_the_line_the_code_and_the_last_lines() -> None:
    with pytest.raises(CommandFailed) as caught:
        RUNNER.run(sh("seq 20 >&2; exit 7", what="counting"))
    lines = str(caught.value).splitlines()
    assert lines[0] == "counting: sh ended with 7"
    assert lines[1] == "  sh -c 'seq 20 >&2; exit 7'"
    assert lines[2:] == [f"  | {n}" for n in range(11, 21)]


def test_a_failure_that_wrote_only_blanks_to_stderr_shows_stdout() -> None:
    with pytest.raises(CommandFailed, match="the reason"):
        RUNNER.run(sh("echo the reason; echo >&2; exit 1"))


def test_other_codes_may_be_expected() -> None:
    assert RUNNER.run(sh("exit 4", ok_codes=(0, 4))).exit_code == 4
    with pytest.raises(CommandFailed, match="ended with 0"):
        RUNNER.run(sh("exit 0", ok_codes=(4,)))


@pytest.mark.parametrize(
    ("number", "words"), [(9, "was ended by SIGKILL"), (40, "was ended by signal 40")]
)
def test_a_signal_is_named(number: int, words: str) -> None:
    with pytest.raises(CommandFailed, match=words):
        RUNNER.run(sh(f"kill -{number} $$"))


def test_secrets_show_up_in_no_message(tmp_path: Path) -> None:
    for log in (None, tmp_path / "log"):
        with pytest.raises(CommandFailed) as caught:
            RUNNER.run(sh("echo token=hunter2; exit 1", secrets=("hunter2",), log=log))
        assert "hunter2" not in str(caught.value)
        assert "  | token=***" in str(caught.value)


def test_a_log_gets_both_streams_and_is_appended_to(tmp_path: Path) -> None:
    log = tmp_path / "log"
    result = RUNNER.run(sh("echo one; echo two >&2", log=log))
    RUNNER.run(sh("echo three", log=log))
    assert log.read_text() == "one\ntwo\nthree\n"
    assert (result.stdout, result.stderr) == ("", "")


def test_a_failure_shows_its_own_part_of_the_log_and_where_it_lies(tmp_path: Path) -> None:
    log = tmp_path / "log"
    RUNNER.run(sh("echo of another command", log=log))
    with pytest.raises(CommandFailed) as caught:
        RUNNER.run(sh("echo mine; exit 1", log=log))
    assert "another" not in str(caught.value)
    assert str(caught.value).splitlines()[-2:] == ["  | mine", f"  log: {log}"]


def test_an_interactive_command_has_our_own_streams(capfd: pytest.CaptureFixture[str]) -> None:
    result = RUNNER.run(sh("echo seen", interactive=True))
    assert (result.stdout, capfd.readouterr().out) == ("", "seen\n")


def test_many_commands_run_side_by_side(tmp_path: Path) -> None:
    """Each ends only once all have begun."""
    results: list[str] = []
    waiting = f"while set -- {tmp_path}/*; [ $# -lt 8 ]; do sleep 0.05; done"
    threads = [
        threading.Thread(
            target=lambda i=i: results.append(
                RUNNER.run(sh(f": >{tmp_path}/{i}; {waiting}; echo {i}", timeout_s=60)).stdout
            )
        )
        for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [f"{i}\n" for i in range(8)]
