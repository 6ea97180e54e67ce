"""What lab.graph writes, taken by Graphviz itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from stacklab import spec
from stacklab.paths.project import PROJECT
from stacklab.views.drawing import graph_text

LABS = sorted((PROJECT / "labs").glob("*.yaml"))


@pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")
@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_graphviz_draws_every_lab(path: Path) -> None:
    drawn = graph_text.dot(spec.load(path))
    done = subprocess.run(
        ["dot", "-Tplain"], input=drawn, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sum(line.startswith("edge ") for line in done.stdout.splitlines()) == drawn.count(" -- ")
