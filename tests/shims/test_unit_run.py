"""The script that a unit runs, by this host's bash: all that the work wrote is kept."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

from stacklab.nodes import unit_scripts

# Bash reads it before a script that it runs: whatever the script traps, it traps late.
LATE_TRAPS = 'trap() { sleep 0.3; builtin trap "$@"; }'
LIMIT_S = 10


def written_by(directory: Path) -> str:
    """Return a unit's whole output: how much was left out is known once the rest is written."""
    deadline = time.monotonic() + LIMIT_S
    while not (directory / "left-out").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return (directory / "output").read_text()


def test_last_words_are_kept_though_systemd_ends_what_is_left_at_once(tmp_path: Path) -> None:
    directory = tmp_path / "unit"
    directory.mkdir()
    (directory / "script").write_text("echo last words\n")
    run = tmp_path / "run"
    run.write_text(unit_scripts._RUN)
    late = tmp_path / "late.sh"
    late.write_text(LATE_TRAPS)
    work = subprocess.Popen(
        ["bash", run, directory, "1000"],
        env={**os.environ, "HOME": str(tmp_path), "BASH_ENV": str(late)},
        start_new_session=True,
    )
    assert work.wait(LIMIT_S) == 0
    # The work itself is over: the signal reaches what is left of its group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(work.pid, signal.SIGTERM)
    assert written_by(directory) == "last words\n"


def test_work_can_be_ended_by_a_signal(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("echo begun; kill -TERM $$; echo not reached\n")
    run = tmp_path / "run"
    run.write_text(unit_scripts._RUN)
    work = subprocess.run(
        ["bash", run, tmp_path, "1000"],
        env={**os.environ, "HOME": str(tmp_path)},
        timeout=LIMIT_S,
        check=False,
    )
    assert work.returncode == -signal.SIGTERM
    assert written_by(tmp_path) == "begun\n"


def rest(directory: Path, **environment: str) -> float:
    """Return for how many seconds the script of ExecStop rests."""
    began = time.monotonic()
    subprocess.run(
        ["sh", "-c", unit_scripts._REST, "rest", directory],
        env={"PATH": os.environ["PATH"], **environment},
        timeout=LIMIT_S,
        check=True,
    )
    return time.monotonic() - began


def test_what_the_work_has_left_may_write_until_it_has_written_all(tmp_path: Path) -> None:
    late = threading.Timer(0.7, (tmp_path / "left-out").touch)
    late.start()
    assert 0.7 <= rest(tmp_path) < 2.5
    late.join()
    assert rest(tmp_path) < 0.7


def test_work_that_is_stopped_by_somebody_is_ended_at_once(tmp_path: Path) -> None:
    assert rest(tmp_path, MAINPID="1") < 0.7


def test_what_writes_without_end_is_ended_after_three_seconds(tmp_path: Path) -> None:
    assert 3 <= rest(tmp_path) < LIMIT_S
