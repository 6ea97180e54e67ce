"""The step that looks for services of DevStack that have ended, with a systemctl of the test's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from stacklab.installers import rendering as answers
from tests.unit.installers.devstack import devstack_labs as labs

# Lists what is in the file `failed`, as `--plain --no-legend` has it.
SYSTEMCTL = """\
#!/bin/sh
case $1 in
list-units) cat "$FAILED" ;;
status) shift; echo "status: $*"; exit 3 ;;
esac
"""


@pytest.fixture
def look(tmp_path: Path) -> str:
    (step, *_) = [
        step
        for step in answers.steps(labs.load(tmp_path))
        if step.title == "see that no service has ended"
    ]
    return step.command


def run(tmp_path: Path, command: str, failed: Path) -> subprocess.CompletedProcess[str]:
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(SYSTEMCTL)
    program.chmod(0o755)
    environment = {
        **os.environ,
        "FAILED": str(failed),
        "PATH": f"{program.parent}:{os.environ['PATH']}",
    }
    return subprocess.run(
        ["sh", "-ec", command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_services_that_have_ended_are_named_with_their_last_words(
    tmp_path: Path, look: str
) -> None:
    failed = tmp_path / "failed"
    failed.write_text(
        "devstack@n-cpu.service loaded failed failed Devstack devstack@n-cpu.service\n"
        "devstack@q-ovn-agent.service loaded failed failed Devstack\n"
    )
    ran = run(tmp_path, look, failed)
    assert ran.returncode == 3
    assert "devstack@n-cpu.service devstack@q-ovn-agent.service" in ran.stdout


def test_a_node_whose_services_all_run_passes(tmp_path: Path, look: str) -> None:
    failed = tmp_path / "failed"
    failed.touch()
    ran = run(tmp_path, look, failed)
    assert (ran.returncode, ran.stdout) == (0, "")


def test_a_node_that_can_t_list_its_services_does_not_pass(tmp_path: Path, look: str) -> None:
    assert run(tmp_path, look, tmp_path / "no-such-file").returncode == 1
