"""vagrant's lock, with the real flock and setpriv; vagrant itself is a stand-in."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stacklab.paths.project import PROJECT
from stacklab.tools import vagrant

UP = """\
import sys
from pathlib import Path
from stacklab.tools import vagrant
directory = Path(sys.argv[1])
vagrant.up(directory, ['a'], log=directory / 'log')
"""


def is_held(directory: Path) -> bool:
    with vagrant.lock(directory).open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def until(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.02)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A vagrant that begins, and on Ctrl-C goes on until it is let go."""
    program = tmp_path / "bin" / "vagrant"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\ntrap : INT\n: > begun\nwhile [ ! -e go ]; do sleep 0.05; done\n: > ended\n"
    )
    program.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(PROJECT),
    }


def test_the_lock_outlives_a_killed_lab_up_and_ends_with_vagrant(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    lab = tmp_path / "lab"
    lab.mkdir()
    with subprocess.Popen([sys.executable, "-c", UP, str(lab)], env=environment) as process:
        until(lab / "begun")
        assert is_held(lab)
        process.send_signal(signal.SIGKILL)
    assert is_held(lab), "the orphan is still at work"
    (lab / "go").touch()
    until(lab / "ended")
    deadline = time.monotonic() + 30
    while is_held(lab) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_held(lab)


def test_vagrant_runs_again_when_the_last_one_has_ended(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "go").touch()
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-c", UP, str(tmp_path)], env=environment, check=True, timeout=30
        )
    assert not is_held(tmp_path)


def test_a_vagrant_that_has_no_end_is_ended_and_told_so(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    lab = tmp_path / "lab"
    lab.mkdir()
    program = tmp_path / "bin" / "vagrant"
    program.write_text(
        "#!/bin/sh\ntrap 'exit 1' INT TERM\necho making domains\nwhile :; do sleep 0.05; done\n"
    )
    short = UP.replace("vagrant.up(", "vagrant.limit_s = lambda nodes: 1.0\nvagrant.up(")
    started = time.monotonic()
    found = subprocess.run(
        [sys.executable, "-c", short, str(lab)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert time.monotonic() - started < 20
    assert "vagrant up was ended after 1 s: libvirtd may hang" in found.stderr
    assert "  | making domains" in found.stderr
    assert not is_held(lab)
