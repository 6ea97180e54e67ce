"""The script that follows a unit, run by this host's shell on a directory of the test's own."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from stacklab.nodes import unit_scripts

MARKER = "M"
SYSTEMCTL = "#!/bin/sh\necho active\n"


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """A unit's directory; nothing was written yet."""
    directory = tmp_path / "units" / "work"
    directory.mkdir(parents=True)
    (directory / "begun").write_text("boot 1.0\n")
    (directory / "output").touch()
    return directory


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    """An environment in which each unit is active."""
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.parent.mkdir()
    systemctl.write_text(SYSTEMCTL)
    systemctl.chmod(0o755)
    return {**os.environ, "PATH": f"{systemctl.parent}:{os.environ['PATH']}"}


def following(unit: Path, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    script = unit_scripts.attach(unit.name, MARKER, 0)
    script = script.replace(unit_scripts.ROOT, str(unit.parent))
    return subprocess.Popen(
        ("sh", "-c", script), env=environment, stdout=subprocess.PIPE, text=True
    )


def count(lines: list[str], word: str) -> int:
    return sum(line.startswith(f"{MARKER} {word}") for line in lines)


def test_following_a_steady_writer_rests_between_chunks(
    unit: Path, environment: Mapping[str, str]
) -> None:
    follower = following(unit, environment)
    started = time.monotonic()
    with (unit / "output").open("ab", buffering=0) as output:
        while time.monotonic() < started + 2:
            output.write(b"line\n")
            time.sleep(0.01)
    took_s = time.monotonic() - started  # more than 2 s on a busy machine
    (unit / "ended").write_text("exited 0 success 2.0 running\n")
    text, _ = follower.communicate(timeout=30)
    lines = text.splitlines()
    # Two in a second, and the last ones at its end.
    assert 1 <= count(lines, "chunk") <= 2 * took_s + 3
    assert lines[-1] == f"{MARKER} end"
    assert f"{MARKER} at {(unit / 'output').stat().st_size}" in lines


def test_what_has_piled_up_is_sent_without_a_rest(
    unit: Path, environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit_scripts, "CHUNK_BYTES", 1000)
    (unit / "output").write_bytes(b"x" * 10_500)
    follower = following(unit, environment)
    lines = []
    assert follower.stdout is not None
    for line in follower.stdout:
        lines.append(line)
        if line.startswith(f"{MARKER} still"):
            break
    (unit / "ended").write_text("exited 0 success 2.0 running\n")
    follower.communicate(timeout=30)
    assert count(lines, "chunk") == 11
    assert f"{MARKER} at 10500\n" in lines
