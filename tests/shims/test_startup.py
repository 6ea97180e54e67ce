"""What quick commands load: nothing that they don't use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stacklab.paths.project import PROJECT

# What takes long to load.
SLOW = {"libvirt", "jinja2", "pydantic", "rich", "vagrant", "pygal", "stacklab.model"}
PROBE = """\
import atexit, os, sys
def tell():
    loaded = " ".join(sorted(set(sys.modules)))
    os.write(2, f"loaded: {loaded}".encode())
atexit.register(tell)
from invoke.main import program
program.run()
"""


def loaded_by(home: Path, *words: str) -> set[str]:
    """Run a command, and return the names of all modules that it loads."""
    environment = {**os.environ, "STACKLAB_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *words],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout
    return set(done.stderr.rpartition("loaded: ")[2].split())


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        (("-l",), set()),
        (("--help", "lab.up"), set()),
        (("lab.list",), {"rich"}),
        (("lab.list", "--json"), set()),
        (("lab.status",), {"rich"}),
        (("lab.status", "--json"), set()),
        (("completion", "bash"), set()),
        (("--complete", "--", "invoke", "lab.up", "con"), set()),
        (("--complete", "--", "invoke", "image.build", ""), set()),
        (("--complete", "--", "invoke", "lab.fault", "mini-2node", ""), set()),
    ],
)
def test_a_quick_command_loads_only_what_it_uses(
    tmp_path: Path, words: tuple[str, ...], needed: set[str]
) -> None:
    assert loaded_by(tmp_path, *words) & SLOW == needed


def test_the_nodes_of_a_lab_that_is_up_are_completed_without_its_spec(tmp_path: Path) -> None:
    resolved = tmp_path / "labs" / "mini-2node" / "resolved.json"
    resolved.parent.mkdir(parents=True)
    resolved.write_text('{"nodes": [{"name": "node1"}]}')
    words = ("--complete", "--", "invoke", "lab.ssh", "mini-2node", "--node", "")
    assert not loaded_by(tmp_path, *words) & SLOW


# What `lab.status` does without, also where labs are on record: it asks their provider alone.
NOT_OF_STATUS = {
    "jinja2",
    "pydantic",
    "vagrant",
    "stacklab.checks",
    "stacklab.images",
    "stacklab.installers",
    "stacklab.lint",
    "stacklab.workflow.faults",
    "stacklab.workflow.lab.up",
}


@pytest.mark.parametrize("words", [("lab.status",), ("lab.status", "--json")])
def test_the_status_of_a_lab_on_record_loads_neither_up_nor_checks(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    """A damaged record: this lab's provider, libvirt, is not even asked."""
    record = tmp_path / "labs" / "mini-2node" / "record.json"
    record.parent.mkdir(parents=True)
    record.write_text("{")
    loaded = loaded_by(tmp_path, *words)
    assert "stacklab.workflow.lab.status" in loaded
    assert not loaded & (NOT_OF_STATUS | {"libvirt"})


def test_a_provider_that_is_asked_brings_libvirt_and_nothing_of_up() -> None:
    code = "import stacklab.workflow.lab.status, stacklab.providers.libvirt.provider, sys\n"
    code += "print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "libvirt" in loaded
    # It makes nodes by vagrant; a status would do without.
    assert not loaded & (NOT_OF_STATUS - {"vagrant"})
