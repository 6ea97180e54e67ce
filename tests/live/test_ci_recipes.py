"""The workflow files of docs/ci, run as a runner would: every step in its shell, with and without a failure."""

from __future__ import annotations

import json
import os
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from stacklab.paths.project import PROJECT
from tests import ci_recipes
from tests.ci_recipes import Job
from tests.live.labs import HOME, MINI, as_kind
from tests.live.remains import left_of
from tests.live.typed import Stacklab

pytestmark = pytest.mark.live

LAB = MINI
JOBS = ci_recipes.jobs()
SABOTAGE = f"./invoke lab.exec {LAB} --node node2 -- sudo hostname somebody-else"
# After lab.destroy the lab is gone: a lab.logs that comes too late fails as it would on a runner.
INVOKE = f"""#!/bin/sh
if [ "$1" = lab.destroy ]; then
    printf '%s\\n' "$*" >>destroyed
fi
exec {PROJECT}/invoke "$@"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Where the job runs: ./invoke is ours, what it installs is there already."""
    for name, text in (("invoke", INVOKE), ("bin/apt-get", "#!/bin/sh\nexit 0\n")):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    return tmp_path


@pytest.fixture
def mini_up(stacklab: Stacklab, image: Path, kind: str) -> None:
    """Have the lab up, with nodes of that kind: the job's own lab.up then keeps to it."""
    stacklab.ok("lab.up", LAB, "--no-checks", *as_kind(kind))


def play(job: Job, checkout: Path, *, sabotage: str = "") -> int:
    """Run a job; the exit code is that of its first step that failed. Skips what a runner would skip."""
    failed = 0
    for step in job.steps:
        if not (step.when == "always" or (step.when == "on_failure") == bool(failed)):
            continue
        lines = [
            f"{line}\n{sabotage}" if "./invoke lab.up" in line else line
            for line in step.shell.splitlines()
        ]
        environment = {
            **os.environ,
            **job.environment,
            "STACKLAB_HOME": str(HOME),
            "CI_PROJECT_DIR": str(checkout),
            "CI_JOB_STATUS": "failed" if failed else "success",
            "PATH": f"{checkout}/bin:{os.environ['PATH']}",
        }
        argv = ("bash", "-eo", "pipefail", "-c", "\n".join(lines))
        run = subprocess.run(
            argv, cwd=checkout, env=environment, capture_output=True, text=True, timeout=900
        )
        print(
            f"## {job}: {step.name} -> {run.returncode}\n{run.stdout[-3000:]}{run.stderr[-3000:]}"
        )
        failed = failed or (run.returncode if run.returncode not in job.ok_codes else 0)
    return failed


def play_to_the_end(job: Job, checkout: Path, *, sabotage: str = "") -> int:
    """Run a job, and see that it destroys the lab."""
    code = play(job, checkout, sabotage=sabotage)
    assert (checkout / "destroyed").read_text() == f"lab.destroy {LAB}\n"
    assert left_of(LAB) == []
    return code


def test_a_job_that_crashed_is_reaped_by_the_next(
    stacklab: Stacklab, image: Path, kind: str
) -> None:
    """The lab is up already, if the tests of mini-2node have run: then only its time changes."""
    stacklab.ok("lab.up", LAB, "--ttl", "1s", "--no-checks", *as_kind(kind))
    assert LAB in stacklab.ok("lab.reap", "--dry-run").out
    assert stacklab.states(LAB) == {"node1": "running", "node2": "running"}
    assert "destroyed" in stacklab.ok("lab.reap").out
    assert left_of(LAB) == []
    stacklab.ok("lab.reap")


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_a_job_that_passes_leaves_reports_and_nothing_else(
    stacklab: Stacklab, mini_up: None, kind: str, job: Job, checkout: Path
) -> None:
    assert play_to_the_end(job, checkout) == 0
    assert {path.name for path in (checkout / "reports").iterdir()} == {
        "checks.html",
        "checks.json",
        "checks.xml",
    }
    suite = ET.parse(checkout / "reports" / "checks.xml").getroot().find("testsuite")
    assert suite is not None
    assert suite.get("failures") == "0"


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_a_job_whose_check_fails_leaves_reports_and_logs_and_nothing_else(
    stacklab: Stacklab, mini_up: None, kind: str, job: Job, checkout: Path
) -> None:
    code = play_to_the_end(job, checkout, sabotage=SABOTAGE)
    assert code == 5
    assert json.loads((checkout / "reports" / "checks.json").read_text())["exit_code"] == 5
    cases = ET.parse(checkout / "reports" / "checks.xml").iter("testcase")
    failed = [case.get("name") for case in cases if case.find("failure") is not None]
    assert any("node2" in str(name) and "hostname" in str(name) for name in failed)
    assert any((checkout / "reports" / "logs").rglob("*"))
