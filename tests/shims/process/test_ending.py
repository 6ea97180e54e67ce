"""Commands that are ended: by time, by Ctrl-C, from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import BinaryIO

import pytest

from stacklab.errors import CommandFailed, CommandTimedOut
from stacklab.process import Command, SubprocessRunner, runner, signals
from tests.shims.process.commands import RUNNER, Heard, assert_gone, is_alive, pid_in, sh


def test_a_command_that_does_not_end_is_ended_and_what_it_said_is_shown(tmp_path: Path) -> None:
    with pytest.raises(CommandTimedOut, match=r"waiting: sh had no end after 0\.3 s") as caught:
        RUNNER.run(
            sh(
                f"echo $$ >{tmp_path}/pid; echo still here; exec sleep 60",
                what="waiting",
                timeout_s=0.3,
            )
        )
    assert "  | still here" in str(caught.value)
    assert_gone(pid_in(tmp_path / "pid"))


def test_a_time_out_shows_the_end_of_the_log(tmp_path: Path) -> None:
    with pytest.raises(CommandTimedOut, match="still here"):
        RUNNER.run(sh("echo still here; exec sleep 60", timeout_s=0.3, log=tmp_path / "log"))


def test_a_command_is_given_time_to_tidy_up(tmp_path: Path) -> None:
    script = f"trap 'echo tidy >{tmp_path}/tidy; exit 0' INT; sleep 60 & wait"
    with pytest.raises(CommandTimedOut):
        RUNNER.run(sh(script, timeout_s=0.3))
    assert (tmp_path / "tidy").read_text() == "tidy\n"


def test_a_command_that_ignores_kindness_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "GRACE_S", 0.2)
    script = f"trap '' INT TERM; echo $$ >{tmp_path}/pid; while :; do sleep 0.1; done"
    with pytest.raises(CommandTimedOut):
        RUNNER.run(sh(script, timeout_s=0.3))
    assert_gone(pid_in(tmp_path / "pid"))


def test_a_child_that_outlives_its_parent_is_ended_too(tmp_path: Path) -> None:
    # sh lets background children ignore SIGINT, so the sleep survives the kind way.
    with pytest.raises(CommandTimedOut):
        RUNNER.run(sh(f"sleep 60 & echo $! >{tmp_path}/pid; wait", timeout_s=0.3))
    assert_gone(pid_in(tmp_path / "pid"))


def test_an_interactive_command_is_ended_too(tmp_path: Path) -> None:
    with pytest.raises(CommandTimedOut):
        RUNNER.run(sh(f"echo $$ >{tmp_path}/pid; exec sleep 60", timeout_s=0.3, interactive=True))
    assert_gone(pid_in(tmp_path / "pid"))


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(),
    reason="signals arrive in the main thread only",
)
def test_ctrl_c_ends_the_command_and_is_passed_on(tmp_path: Path) -> None:
    def press_ctrl_c() -> None:
        pid_in(tmp_path / "pid")
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press_ctrl_c)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        RUNNER.run(sh(f"echo $$ >{tmp_path}/pid; exec sleep 60"))
    presser.join()
    assert_gone(pid_in(tmp_path / "pid"))


def test_ctrl_c_while_a_command_is_being_started_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = runner._start_process

    def start_and_press(command: Command, log: BinaryIO | None) -> subprocess.Popen[bytes]:
        started = start(command, log)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)  # Python runs the handler here, before anybody knows the process
        return started

    monkeypatch.setattr(runner, "_start_process", start_and_press)
    for interactive in (False, True):
        with pytest.raises(KeyboardInterrupt):
            RUNNER.run(sh(f"echo $$ >{tmp_path}/pid; exec sleep 60", interactive=interactive))
        assert_gone(pid_in(tmp_path / "pid"))
        (tmp_path / "pid").unlink()


def test_a_daemon_that_left_the_session_is_left_alone(tmp_path: Path) -> None:
    daemonize = (
        f"setsid sh -c 'echo $$ >{tmp_path}/pid; exec sleep 60' </dev/null >/dev/null 2>&1 &"
    )
    left = tmp_path / "pid"

    def why_stop() -> str:
        return "it has left" if left.exists() and left.read_text() else ""

    with pytest.raises(CommandFailed, match="it has left"):
        RUNNER.converse(sh(f"{daemonize} sleep 60"), heard=Heard(), why_stop=why_stop)
    pid = pid_in(left)
    assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)


def test_all_that_runs_can_be_stopped_from_outside() -> None:
    runner = SubprocessRunner()
    caught: list[BaseException] = []
    is_running = threading.Event()

    def heard(_line: str, _at: float) -> None:
        is_running.set()

    def converse() -> None:
        try:
            runner.converse(sh("echo begun; exec sleep 60"), heard=heard)
        except CommandFailed as error:
            caught.append(error)

    thread = threading.Thread(target=converse)
    thread.start()
    assert is_running.wait(30)
    runner.stop_all()
    thread.join(30)
    assert not thread.is_alive()
    assert "was ended by SIGINT" in str(caught[0])
