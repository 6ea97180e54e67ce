"""The lines that tell what a cloud's services complained of, in a real shell."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from stacklab import spec
from stacklab.installers import kit_of
from stacklab.paths.project import LABS

# As nova 2026.1 and placement wrote them on a container.
JOURNAL = """\
INFO nova.utils [admin admin] The cell worker thread pool is initialized
DEBUG placement.objects.research_context [nova] found no providers satisfying required traits: \
set() and forbidden traits: {'COMPUTE_STATUS_DISABLED'}
INFO nova.scheduler.manager [admin admin] Got no allocation candidates from the Placement API.
INFO nova.filters [admin admin] Filter ComputeFilter returned 0 hosts
"""


def test_what_devstacks_scheduler_and_placement_say_is_told(tmp_path: Path) -> None:
    lab = spec.load(LABS / "devstack-3node.yaml")
    kit = kit_of(lab.stack.installer)
    access = kit.access(lab) if kit else None
    assert access is not None
    journalctl = tmp_path / "journalctl"
    journalctl.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/words\ncat {tmp_path}/journal\n')
    journalctl.chmod(0o755)
    (tmp_path / "journal").write_text(JOURNAL)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-s"],
        input=access.clues,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    told = done.stdout.splitlines()
    assert [line.split()[0] for line in told] == ["DEBUG", "INFO", "INFO"]
    assert "COMPUTE_STATUS_DISABLED" in told[0]
    assert "no allocation candidates" in told[1]
    assert "-u devstack@n-sch" in (tmp_path / "words").read_text()
