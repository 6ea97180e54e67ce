"""The live tests' runner, in a process of its own: steps of files, of programs and of libvirt."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stacklab.paths.project import PROJECT
from tests.live import run_with_fault
from tests.live.step_faults import Fault, Step

# A task with steps of two kinds; libvirt's test driver is in the process itself.
TASKS = """
import os
from pathlib import Path

import libvirt
from invoke import task

HOME = Path(os.environ["STACKLAB_HOME"])


@task
def change(_c):
    (HOME / "first").write_text("1")
    (HOME / "first").rename(HOME / "second")
    with libvirt.open("test:///default") as connection:
        domain = connection.lookupByName("test")
        domain.suspend()
        domain.resume()
    (HOME / "second").unlink()
    print("to its end")
"""
NAMES = [
    "write first",
    "rename first to second",
    "virDomain.suspend test",
    "virDomain.resume test",
    "remove second",
]


@dataclass
class Checkout:
    """A directory with tasks.py, and a home."""

    root: Path
    logs: list[Path] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.root / "home"

    def run(self, fault: Fault, at: int) -> subprocess.CompletedProcess[str]:
        log = self.root / f"steps-{len(self.logs)}"
        self.logs.append(log)
        arguments = run_with_fault.arguments(fault, at, log, "change", checkout=self.root)
        environment = {**os.environ, "STACKLAB_HOME": str(self.home)}
        return subprocess.run(
            (sys.executable, *arguments),
            cwd=PROJECT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    @property
    def steps(self) -> tuple[Step, ...]:
        return run_with_fault.read(self.logs[-1])


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path)
    made.home.mkdir()
    (tmp_path / "tasks.py").write_text(TASKS)
    return made


def test_steps_are_counted_and_named_and_nothing_else_happens(checkout: Checkout) -> None:
    run = checkout.run(Fault.NONE, 0)
    assert (run.returncode, run.stdout) == (0, "to its end\n"), run.stderr
    assert [step.what for step in checkout.steps] == NAMES
    assert [step.number for step in checkout.steps] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("at", [1, 2, 4])
def test_a_killed_process_is_gone_before_its_step(checkout: Checkout, at: int) -> None:
    run = checkout.run(Fault.KILL, at)
    assert run.returncode == -signal.SIGKILL
    assert [step.what for step in checkout.steps] == NAMES[:at]
    left = {1: [], 2: ["first"], 4: ["second"]}[at]
    assert [path.name for path in checkout.home.iterdir()] == left


def test_a_full_disk_is_an_error_of_the_task(checkout: Checkout) -> None:
    run = checkout.run(Fault.FULL_DISK, 1)
    assert run.returncode == 1
    assert "No space left on device" in run.stderr
    assert list(checkout.home.iterdir()) == []
