"""How much memory a command takes in the process that drives everything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from stacklab.paths.project import PROJECT

# A first process, which reports the peak of its only child: the peak of this one is pytest's.
MEASURE = """import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"""
LIMIT_KIB = 200 * 1024


def test_the_driving_process_stays_small(tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    plan = (sys.executable, "-m", "invoke", "lab.plan", "contrail-3node")
    run = subprocess.run(
        (sys.executable, "-c", MEASURE, *plan),
        cwd=PROJECT,
        env={**os.environ, "STACKLAB_HOME": home},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(run.stdout.split()[-1]) < LIMIT_KIB
    lines = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline"))
    assert not any(home.encode() in line for line in lines), "a plan starts nothing that stays"
