"""The script that starts work on a node, where systemd is old or not there."""

from __future__ import annotations

import getpass
import os
import subprocess
from pathlib import Path

import pytest

from stacklab.nodes import unit_scripts


@pytest.mark.parametrize(
    ("version", "what"),
    [("systemd 219 (219-78)", "219"), ("systemd 242", "242"), ("", "not there")],
)
def test_a_node_with_an_old_systemd_says_so_before_anything_runs(
    tmp_path: Path, version: str, what: str
) -> None:
    run = started_on(tmp_path, version)
    assert run.returncode == 1
    assert run.stdout.startswith(f"its systemd is {what}, and work needs 243 or later")
    assert "answers.steps" in run.stdout
    assert not (tmp_path / "units" / "a").exists()


def test_the_oldest_systemd_that_will_do_is_243(tmp_path: Path) -> None:
    run = started_on(tmp_path, "systemd 243 (v243)")
    assert "its systemd" not in run.stdout
    assert (tmp_path / "units" / "a" / "script").exists()


def started_on(directory: Path, version: str) -> subprocess.CompletedProcess[str]:
    """Run the script of a start where systemctl knows nothing but this version."""
    programs = directory / "bin"
    programs.mkdir()
    systemctl = programs / "systemctl"
    systemctl.write_text(f"#!/bin/sh\n[ $1 != --version ] || echo '{version}'\nexit 1\n")
    systemctl.chmod(0o755)
    user = getpass.getuser()
    script = unit_scripts.start("a", "echo hello", user=user, limit_s=5, most_bytes=9)
    for place, of in (("units", unit_scripts.ROOT), ("files", unit_scripts.UNIT_FILES)):
        script = script.replace(of, str(directory / place))
    path = f"{programs}:{os.environ['PATH']}"
    return subprocess.run(
        ("sh", "-s"),
        input=script,
        env={"PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
