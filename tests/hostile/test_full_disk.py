"""What makes room must not need any: destroy, down, reap and prune where no byte can be written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stacklab.paths.project import PROJECT
from tests.hostile.full_disk import COMMANDS

STAYS = ("down", "image-prune", "cache-prune")  # the lab


def run_on_full_disk(root: Path, command: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.full_disk", str(root), command],
        cwd=PROJECT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in STAYS])
def test_a_lab_goes_and_leaves_nothing(tmp_path: Path, command: str) -> None:
    assert run_on_full_disk(tmp_path, command) == {"domains": 0, "left": []}


@pytest.mark.parametrize("command", STAYS)
def test_it_ends_well(tmp_path: Path, command: str) -> None:
    found = run_on_full_disk(tmp_path, command)
    assert found["domains"] == 3
