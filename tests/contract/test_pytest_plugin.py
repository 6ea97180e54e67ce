"""The pytest plug-in in processes of its own: what loading it costs, and the workers of xdist."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from stacklab.checks import plan
from stacklab.paths.project import PROJECT
from tests.unit.checks.fake_lab import make_lab

pytest_plugins = ["pytester"]

# A lab in simulation, whose nodes take half a second and keep a list of their sessions.
CONFTEST = """
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, {project!r})

from stacklab import pytest_plugin, record, spec
from stacklab.model import lab_json
from stacklab.dev.simulated.simulate import SimulatedNodes, node_of
from stacklab.paths import HostPaths
from stacklab.progress import Progress
from stacklab.providers import registry
from stacklab.workflow.context import Context
from stacklab.workflow.snapshots import recovery
from tests.unit.checks.fake_lab import make_lab
from tests.unit.providers.libvirt.fake_libvirt import make_provider

HERE = Path(__file__).parent
LAB = make_lab(retries=0)

class Nodes(SimulatedNodes):
    def converse(self, command, **words):
        with open(HERE / "sessions", "a") as file:
            file.write(node_of(command) + "\\n")
        time.sleep(0.5)
        return super().converse(command, **words)

def context(config):
    paths = HostPaths(HERE / "home").lab("trio")
    if not paths.record.exists():
        paths.root.mkdir(parents=True)
        record.write(paths, registry.new_record(LAB, paths, image="debian-12-abc", \
passed_over={{}}, now=1.0))
        paths.resolved.write_text(lab_json.to_json(LAB))
    made = Context(
        host=HostPaths(HERE / "home"),
        runner=Nodes(LAB),
        progress=Progress(),
        finish_snapshot=recovery.finish,
    )
    made.providers["libvirt"] = make_provider(made.host, None, made.progress)
    return made

pytest_plugin._make_context = context
"""
MINE = """
def test_node(node): assert node.name
def test_pair(node_pair): assert len(node_pair) == 2
def test_that_fails(node): assert node.name != "compute1"
"""


@pytest.fixture
def team(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    pytester.makeconftest(CONFTEST.format(project=str(PROJECT)))
    pytester.makepyfile(test_mine=MINE)
    return pytester


def test_loading_it_imports_nothing_of_ours_but_itself() -> None:
    code = (
        "import sys, stacklab.pytest_plugin; print(*(name for name in sys.modules if"
        " name.startswith('stacklab')))"
    )
    loaded = subprocess.run(
        (sys.executable, "-c", code), cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == ["stacklab", "stacklab.pytest_plugin"]


@pytest.mark.parametrize("workers", ["0", "2", "3"])
def test_however_many_workers_there_are_each_node_has_one_session(
    team: pytest.Pytester, workers: str
) -> None:
    words = (
        "-p",
        "stacklab.pytest_plugin",
        "--lab",
        "trio",
        "--lab-checks",
        "-k",
        "hostname or login or test_",
    )
    result = team.runpytest_subprocess(*words, "-n", workers, "--junitxml", "j.xml")
    assert sorted((team.path / "sessions").read_text().split()) == [
        "compute1",
        "compute2",
        "controller",
    ]
    outcomes = result.parseoutcomes()
    assert (outcomes["failed"], outcomes["passed"], outcomes.get("errors", 0)) == (
        1,
        6 + 3 + 6 + 2,
        0,
    )
    cases = [case.get("name") for case in ET.parse(team.path / "j.xml").iter("testcase")]
    checks = [
        check.title for check in plan.expected(make_lab()) if check.kind in ("hostname", "login")
    ]
    assert sorted(name for name in cases if name in checks) == sorted(checks)
    assert "test_that_fails[compute1]" in cases
    assert len(cases) == 6 + 12


def test_a_lab_that_is_not_up_is_told_once_not_by_every_worker(team: pytest.Pytester) -> None:
    result = team.runpytest_subprocess("-p", "stacklab.pytest_plugin", "--lab", "duo", "-n", "2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.stderr.str().count("lab duo is not up") == 1
