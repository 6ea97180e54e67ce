"""A host's own mirror of git: whose labs get it, and what mirror.fill says of what it did."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacklab import installers, spec
from stacklab.errors import HostError, LabError
from stacklab.installers.kit.git import served_directory
from stacklab.model.lab import Lab
from stacklab.paths.project import PROJECT
from stacklab.process import Command, Result
from stacklab.tools.host import git_daemon, git_mirror
from stacklab.workflow.lab import ending
from stacklab.workflow.mirror import fill, serving
from stacklab.workflow.mirror.fill import FillOutcome
from tests.unit.workflow.fake_host import FakeHost, host

__all__ = ["host"]

NAME = "devstack-aio"


@pytest.fixture
def lab() -> Lab:
    return spec.load(PROJECT / "labs" / f"{NAME}.yaml")


def put(mirror: Path, path: str, name: str) -> None:
    """Give a mirror one branch of a project, as git would."""
    place = git_mirror.repository(mirror, path)
    (place / "refs" / "heads" / name).parent.mkdir(parents=True, exist_ok=True)
    (place / "refs" / "heads" / name).write_text("0" * 40)
    (place / "HEAD").write_text("ref: refs/heads/x\n")


def put_all(mirror: Path, lab: Lab, *, but: str = "") -> None:
    for project in installers.git_projects(lab):
        if project.path != but:
            put(mirror, project.path, project.ref or "master")


def test_a_mirror_that_has_everything_is_used(host: FakeHost, lab: Lab) -> None:
    put_all(host.context.host.git, lab)
    found = serving.with_mirror(lab, host.context.host)
    assert served_directory(found) == str(host.context.host.git)


def test_one_that_lacks_a_project_is_not(host: FakeHost, lab: Lab) -> None:
    put_all(host.context.host.git, lab, but="openstack/nova")
    assert serving.with_mirror(lab, host.context.host) == lab


def test_one_that_has_another_branch_alone_is_not(host: FakeHost, lab: Lab) -> None:
    put_all(host.context.host.git, lab, but="openstack/nova")
    put(host.context.host.git, "openstack/nova", "stable/2025.2")
    assert serving.with_mirror(lab, host.context.host) == lab


def test_a_lab_that_clones_nothing_is_left_alone(host: FakeHost) -> None:
    lab = spec.load(PROJECT / "labs" / "mini-2node.yaml")
    host.context.host.git.mkdir(parents=True)
    assert serving.with_mirror(lab, host.context.host) == lab


@pytest.fixture
def daemons(monkeypatch: pytest.MonkeyPatch) -> dict[Path, tuple[str, str]]:
    """The daemons that were started and not ended: by mark, with directory and address."""
    running: dict[Path, tuple[str, str]] = {}

    def start(_runner: object, directory: Path, mark: Path, *, address: str) -> None:
        running[mark] = (str(directory), address)

    def end(mark: Path) -> None:
        running.pop(mark, None)

    monkeypatch.setattr(git_daemon, "start", start)
    monkeypatch.setattr(git_daemon, "end", end)
    return running


def test_the_nodes_are_served_while_the_lab_is_up(
    host: FakeHost, lab: Lab, daemons: dict[Path, tuple[str, str]]
) -> None:
    put_all(host.context.host.git, lab)
    host.stock("debian-12")
    host.up(lab)
    mark = host.lab(NAME).git_daemon
    assert daemons == {mark: (str(host.context.host.git), "192.168.154.1")}
    ending.down(host.context, NAME)
    assert daemons == {}
    host.up(lab)
    assert mark in daemons
    ending.destroy(host.context, NAME)
    assert daemons == {}


def test_a_directory_that_is_not_there_is_told(host: FakeHost, tmp_path: Path) -> None:
    text = (PROJECT / "labs" / f"{NAME}.yaml").read_text()
    path = tmp_path / f"{NAME}.yaml"
    path.write_text(text.replace("\nstack:\n", f"\nstack:\n  mirrors: {{git: {tmp_path}/none}}\n"))
    lab = spec.load(path)
    with pytest.raises(HostError, match="is not a directory of this host"):
        serving.start(host.context, lab, host.lab(NAME))


# --- mirror.fill


@pytest.fixture
def clones(tmp_path: Path) -> Path:
    path = tmp_path / "clones"
    path.mkdir()
    return path


def add_clone(clones: Path, path: str) -> None:
    place = clones / path
    place.mkdir(parents=True)
    (place / "HEAD").write_text("ref: refs/heads/x\n")


@pytest.fixture
def filling(host: FakeHost) -> FakeHost:
    """A host whose git finds any branch, and fetches nothing."""
    host.runner.on("git", "ls-remote", answer=show_refs)
    host.runner.on("git", answer=Result(exit_code=0))
    return host


def show_refs(command: Command) -> Result:
    return Result(exit_code=0, stdout=f"0000\t{command.argv[5]}\n")


def test_what_was_fetched_and_what_is_missing_are_told(
    filling: FakeHost, lab: Lab, clones: Path
) -> None:
    add_clone(clones, "openstack/nova")
    put(filling.context.host.git, "openstack/glance", "stable/2026.1")
    mirror, rows = fill.fill(filling.context, lab, source=str(clones), depth=60)
    outcomes = {row.project.name: row.outcome for row in rows}
    assert outcomes["nova"] is FillOutcome.FILLED
    assert outcomes["glance"] is FillOutcome.THERE
    assert outcomes["keystone"] is FillOutcome.MISSING
    with pytest.raises(LabError, match="openstack/keystone") as raised:
        fill.raise_for(lab, mirror, rows)
    assert "openstack/nova" not in raised.value.message
    assert "openstack/glance" not in raised.value.message


def test_clones_are_read_as_urls_and_as_deep_as_was_asked(
    filling: FakeHost, lab: Lab, clones: Path
) -> None:
    add_clone(clones, "openstack/nova")
    fill.fill(filling.context, lab, source=str(clones), depth=60)
    (fetch,) = [one.argv for one in filling.runner.commands if "fetch" in one.argv]
    assert f"file://{clones}/openstack/nova" in fetch
    assert "--depth=60" in fetch


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ("", "https://opendev.org/openstack/nova"),
        ("https://git.example.org/", "https://git.example.org/openstack/nova"),
    ],
)
def test_a_server_has_each_project_at_its_path(
    filling: FakeHost, lab: Lab, source: str, url: str
) -> None:
    mirror, rows = fill.fill(filling.context, lab, source=source, depth=0)
    fill.raise_for(lab, mirror, rows)
    fetches = [one.argv for one in filling.runner.commands if "fetch" in one.argv]
    assert any(url in argv for argv in fetches)
    assert not any("--depth" in word for argv in fetches for word in argv)


def test_a_lab_that_clones_nothing_has_nothing_to_fill(host: FakeHost) -> None:
    lab = spec.load(PROJECT / "labs" / "mini-2node.yaml")
    with pytest.raises(LabError, match="clones nothing"):
        fill.fill(host.context, lab, source="", depth=0)
