"""A project's source on this host, with a real git."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stacklab.errors import LabError
from stacklab.paths import HostPaths, LabPaths
from stacklab.process.runner import SubprocessRunner
from stacklab.workflow.source import tree
from stacklab.workflow.source.projects import project_named

NOVA = project_named("nova")
RUNNER = SubprocessRunner()


def git(directory: Path, *words: str) -> str:
    settings = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    argv = ("git", *settings, "-C", str(directory), *words)
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of nova, as far as that matters."""
    clone = tmp_path / "nova"
    (clone / "nova").mkdir(parents=True)
    (clone / "nova" / "__init__.py").write_text("")
    (clone / ".gitreview").write_text("[gerrit]\nproject=x\ndefaultbranch=unmaintained/zed\n")
    (clone / ".gitignore").write_text("*.pyc\n")
    git(clone, "init", "-q")
    git(clone, "add", "-A")
    git(clone, "commit", "-qm", "one")
    return clone


@pytest.fixture
def paths(tmp_path: Path) -> LabPaths:
    return HostPaths(tmp_path / "home").lab("x")


def test_a_clone_is_taken_as_it_is(clone: Path, paths: LabPaths) -> None:
    (clone / "nova" / "new.py").write_text("x = 1\n")
    (clone / "nova" / "old.pyc").write_text("")
    (clone / "link").symlink_to("/etc/passwd")
    found = tree.open_tree(RUNNER, paths, NOVA, str(clone), "")
    assert found.directory == clone
    assert found.branch == "unmaintained/zed"
    assert git(clone, "rev-parse", "HEAD").startswith(found.commit)
    listing = tree.list_files(RUNNER, found.directory)
    assert set(listing) == {".gitignore", ".gitreview", "nova/__init__.py", "nova/new.py"}
    # A file that was removed and is still tracked.
    (clone / "nova" / "__init__.py").unlink()
    assert "nova/__init__.py" not in tree.list_files(RUNNER, found.directory)


def test_a_ref_is_fetched_and_the_users_clone_stays_as_it_is(clone: Path, paths: LabPaths) -> None:
    git(clone, "tag", "first")
    (clone / ".gitreview").write_text("[gerrit]\n")
    git(clone, "commit", "-qam", "two")
    before = git(clone, "status", "--porcelain", "--branch")
    found = tree.open_tree(RUNNER, paths, NOVA, str(clone), "first")
    assert found.directory == paths.root / "source" / "nova"
    assert found.branch == "unmaintained/zed"
    assert git(clone, "status", "--porcelain", "--branch") == before
    # Another one, over the first.
    assert tree.open_tree(RUNNER, paths, NOVA, str(clone), "main").branch == "master"


def test_of_a_change_the_newest_patch_set_is_fetched(clone: Path, paths: LabPaths) -> None:
    for number in (1, 2, 10):
        (clone / "nova" / "set.py").write_text(f"NUMBER = {number}\n")
        git(clone, "add", "-A")
        git(clone, "commit", "-qm", f"set {number}")
        git(clone, "update-ref", f"refs/changes/45/912345/{number}", "HEAD")
    git(clone, "update-ref", "refs/changes/45/912345/meta", "HEAD~3")
    git(clone, "reset", "-q", "--hard", "HEAD~3")
    found = tree.open_tree(RUNNER, paths, NOVA, str(clone), "912345")
    assert (found.directory / "nova" / "set.py").read_text() == "NUMBER = 10\n"
    with pytest.raises(LabError, match="has no change 777777"):
        tree.open_tree(RUNNER, paths, NOVA, str(clone), "777777")


@pytest.mark.parametrize(
    "ref", ["no-such-branch", "--upload-pack=touch /tmp/x", "refs/changes/1/1/1"]
)
def test_a_ref_that_is_not_there_says_how_to_hand_it_over(
    ref: str, clone: Path, paths: LabPaths
) -> None:
    with pytest.raises(LabError, match="can't be fetched") as caught:
        tree.open_tree(RUNNER, paths, NOVA, str(clone), ref)
    assert "fetch it into a clone of yours" in str(caught.value.hint)


def test_what_is_no_source_of_the_project_is_refused(clone: Path, paths: LabPaths) -> None:
    with pytest.raises(LabError, match="is not a source tree of glance"):
        tree.open_tree(RUNNER, paths, project_named("glance"), str(clone), "")


def test_a_tree_that_is_too_large_is_refused(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "_MOST_BYTES", 100)
    (clone / "nova" / "core.1234").write_bytes(bytes(1000))
    with pytest.raises(LabError, match="is all of that source"):
        tree.list_files(RUNNER, clone)
