"""A project's source on nodes: which nodes, what has to be copied, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from stacklab import spec
from stacklab.errors import LabError
from stacklab.paths import HostPaths
from stacklab.paths.project import LABS
from stacklab.workflow.source import checkout, placed
from stacklab.workflow.source.placed import Checkout, compare
from stacklab.workflow.source.projects import branches, nodes_of, project_named
from stacklab.workflow.source.tree import SourceTree
from tests.unit.workflow.debug.test_debug import ALL, service

LAB = spec.load(LABS / "openstack-3node.yaml")
DEVSTACK = spec.load(LABS / "devstack-3node.yaml")
NOVA = project_named("nova")
TREE = SourceTree(directory=Path("/src/nova"), commit="abc", branch="unmaintained/zed")


def test_a_projects_nodes_are_those_of_its_services() -> None:
    assert nodes_of(NOVA, ALL) == ["controller", "compute1", "compute2"]
    assert nodes_of(project_named("keystone"), ALL) == ["controller"]
    assert nodes_of(NOVA, ALL, "compute2") == ["compute2"]
    assert nodes_of(NOVA, [service("n-api"), service("neutron-server")]) == ["controller"]


def test_an_unknown_project_is_told_with_the_nearest() -> None:
    with pytest.raises(LabError) as caught:
        project_named("nov")
    assert "nova" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("branch", "fits"),
    [
        ("unmaintained/zed", True),
        ("stable/zed", True),
        ("master", False),
        ("stable/2026.1", False),
        ("", False),
    ],
)
def test_a_source_of_another_release_is_refused(branch: str, fits: bool) -> None:
    found = dataclasses.replace(TREE, branch=branch)
    if fits:
        checkout._check_release(LAB, NOVA, found)
        return
    with pytest.raises(LabError, match="runs zed") as caught:
        checkout._check_release(LAB, NOVA, found)
    assert "stable/zed or unmaintained/zed" in str(caught.value.hint)


def test_branches_are_those_of_the_labs_release() -> None:
    assert branches(DEVSTACK)[0] == "stable/2026.1"


def test_what_changed_is_told_by_sizes_and_times() -> None:
    before = {"a": (1, 10), "b": (1, 10), "c": (1, 10), "d": (1, 10)}
    now = {"a": (1, 10), "b": (2, 10), "c": (1, 11), "e": (1, 10)}
    change = compare(before, now)
    assert change.written == ("b", "c", "e")
    assert change.removed == ("d",)
    assert compare(now, now) == placed.TreeChange(written=(), removed=())
    assert not compare(now, now)


def test_a_record_is_read_as_it_was_written_and_a_broken_one_is_none(tmp_path: Path) -> None:
    paths = HostPaths(tmp_path).lab("x")
    done = Checkout(directory="/src", commit="abc", listing={"a/b.py": (3, 17)})
    placed.write_checkout(paths, NOVA, "node1", done)
    assert placed.read_checkout(paths, NOVA, "node1") == done
    assert placed.read_checkout(paths, NOVA, "node2") is None
    for text in (
        "",
        "[]",
        '{"listing": 3}',
        '{"listing": {"a": 1}, "directory": "", "commit": ""}',
    ):
        placed._record(paths, NOVA, "node1").write_text(text)
        assert placed.read_checkout(paths, NOVA, "node1") is None


def test_files_go_below_the_projects_directory_with_their_folders_first(tmp_path: Path) -> None:
    (tmp_path / "nova" / "api").mkdir(parents=True)
    (tmp_path / "nova" / "api" / "x.py").write_text("x = 1\n")
    (tmp_path / "run.sh").write_text("exit\n")
    (tmp_path / "run.sh").chmod(0o755)
    entries = dict(placed._entries(NOVA, tmp_path, ["nova/api/x.py", "run.sh", "gone.py"]))
    assert list(entries) == [
        "opt/stacklab-source",
        "opt/stacklab-source/nova",
        "opt/stacklab-source/nova/nova",
        "opt/stacklab-source/nova/nova/api",
        "opt/stacklab-source/nova/nova/api/x.py",
        "opt/stacklab-source/nova/run.sh",
    ]
    assert entries["opt/stacklab-source/nova/run.sh"].mode == 0o755
    assert entries["opt/stacklab-source/nova/nova/api/x.py"].text == b"x = 1\n"
