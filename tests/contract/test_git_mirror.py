"""The mirror of git, made of repositories of the test's own, and served on loopback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab.errors import HostError, ToolError
from stacklab.process.runner import SubprocessRunner
from stacklab.tools.host import git_daemon, git_mirror, outliving

PROJECT = "openstack/nova"
BRANCH = "stable/2026.1"
LOOPBACK = "127.0.0.1"
_IDENTITY = ("-c", "user.name=x", "-c", "user.email=x@example.org")


def git(*words: str, ok: bool = True) -> str:
    done = subprocess.run(
        ["git", *_IDENTITY, *words], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode == 0) is ok, done.stderr
    return done.stdout.strip()


def commit(clone: Path, text: str) -> None:
    git("-C", str(clone), "commit", "-q", "--allow-empty", "-m", text)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with a branch of two commits, and a tag."""
    path = tmp_path / "clones" / PROJECT
    git("init", "-q", "-b", BRANCH, str(path))
    commit(path, "one")
    git("-C", str(path), "tag", "v1")
    commit(path, "two")
    return path


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    path = tmp_path / "mirror"
    path.mkdir()
    return path


def fetch(mirror: Path, clone: Path, ref: str = BRANCH, depth: int = 0) -> None:
    git_mirror.fetch(
        SubprocessRunner(), mirror, PROJECT, source=f"file://{clone}", ref=ref, depth=depth
    )


def count(mirror: Path, ref: str = BRANCH) -> int:
    place = git_mirror.repository(mirror, PROJECT)
    return int(git("--git-dir", str(place), "rev-list", "--count", ref))


def test_a_branch_is_fetched_whole_and_updated(mirror: Path, clone: Path) -> None:
    assert not git_mirror.has(mirror, PROJECT, BRANCH)
    fetch(mirror, clone)
    assert git_mirror.has(mirror, PROJECT, BRANCH)
    assert count(mirror) == 2
    commit(clone, "three")
    fetch(mirror, clone)
    assert count(mirror) == 3


def test_a_depth_leaves_older_commits_out(mirror: Path, clone: Path) -> None:
    fetch(mirror, clone, depth=1)
    assert count(mirror) == 1


def test_a_branch_that_was_begun_anew_replaces_the_old_one(mirror: Path, clone: Path) -> None:
    fetch(mirror, clone)
    git("-C", str(clone), "reset", "-q", "--hard", "v1")
    commit(clone, "another")
    fetch(mirror, clone)
    assert count(mirror) == 2


@pytest.mark.parametrize("ref", ["v1", "refs/changes/12/12/1"])
def test_a_tag_and_a_change_are_kept_under_their_names(mirror: Path, clone: Path, ref: str) -> None:
    git("-C", str(clone), "update-ref", "refs/changes/12/12/1", "HEAD")
    fetch(mirror, clone, ref)
    assert git_mirror.has(mirror, PROJECT, ref)
    assert not git_mirror.has(mirror, PROJECT, BRANCH)


def test_no_ref_takes_all_branches_and_tags(mirror: Path, clone: Path) -> None:
    fetch(mirror, clone, "")
    assert git_mirror.has(mirror, PROJECT, BRANCH)
    assert git_mirror.has(mirror, PROJECT, "v1")
    assert git_mirror.has(mirror, PROJECT, "")


def test_packed_refs_are_read_too(mirror: Path, clone: Path) -> None:
    fetch(mirror, clone)
    git("--git-dir", str(git_mirror.repository(mirror, PROJECT)), "pack-refs", "--all")
    assert git_mirror.has(mirror, PROJECT, BRANCH)
    assert not git_mirror.has(mirror, PROJECT, "stable/2025.2")


def test_a_ref_that_the_source_lacks_is_an_error(mirror: Path, clone: Path) -> None:
    with pytest.raises(ToolError, match="does not have stable/none"):
        fetch(mirror, clone, "stable/none")
    assert not git_mirror.repository(mirror, PROJECT).exists()


@pytest.mark.parametrize("name", [PROJECT, f"{PROJECT}.git", "nova", "nova.git"])
def test_a_clone_is_found_wherever_it_may_stand(tmp_path: Path, name: str) -> None:
    assert git_mirror.find_clone(tmp_path, PROJECT) is None
    place = tmp_path / name
    git("init", "-q", *(["--bare"] if name.endswith(".git") else []), str(place))
    assert git_mirror.find_clone(tmp_path, PROJECT) == place


# --- the daemon


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "git-daemon.pid"
    yield path
    git_daemon.end(path)


def start(mirror: Path, mark: Path, port: int) -> None:
    git_daemon.start(SubprocessRunner(), mirror, mark, address=LOOPBACK, port=port)


def the_daemons(mark: Path) -> tuple[int, ...]:
    """Return the processes with that mark, once those that answer somebody have ended.

    Such a one ends a moment after its client; it is waited for, five seconds at most.
    """
    deadline = time.monotonic() + 30
    while len(found := git_daemon.find(mark)) > 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def test_nodes_can_clone_and_change_nothing(
    tmp_path: Path, mirror: Path, clone: Path, mark: Path, port: int
) -> None:
    fetch(mirror, clone)
    start(mirror, mark, port)
    url = f"git://{LOOPBACK}:{port}/{PROJECT}"
    git("clone", "-q", url, str(tmp_path / "node"))  # with and without .git
    git("clone", "-q", f"{url}.git", str(tmp_path / "node2"))
    commit(tmp_path / "node", "mine")
    git("-C", str(tmp_path / "node"), "push", "-q", "origin", f"HEAD:{BRANCH}", ok=False)
    assert count(mirror) == 2


def test_a_repository_can_t_switch_writing_on(
    tmp_path: Path, mirror: Path, clone: Path, mark: Path, port: int
) -> None:
    fetch(mirror, clone)
    place = str(git_mirror.repository(mirror, PROJECT))
    git("--git-dir", place, "config", "daemon.receivepack", "true")
    start(mirror, mark, port)
    git("clone", "-q", f"git://{LOOPBACK}:{port}/{PROJECT}", str(tmp_path / "node"))
    commit(tmp_path / "node", "mine")
    git("-C", str(tmp_path / "node"), "push", "-q", "origin", f"HEAD:{BRANCH}", ok=False)


def test_nothing_outside_of_the_mirror_is_served(
    mirror: Path, clone: Path, mark: Path, port: int
) -> None:
    start(mirror, mark, port)
    for path in (str(clone), f"/../clones/{PROJECT}"):
        git("ls-remote", f"git://{LOOPBACK}:{port}{path}", ok=False)


def test_one_daemon_serves_until_it_is_ended(mirror: Path, mark: Path, port: int) -> None:
    start(mirror, mark, port)
    (process,) = the_daemons(mark)
    start(mirror, mark, port)
    assert the_daemons(mark) == (process,)
    git_daemon.end(mark)
    assert git_daemon.find(mark) == ()
    assert not mark.exists()
    git_daemon.end(mark)  # again, where there is none


def test_another_directory_replaces_it(
    tmp_path: Path, mirror: Path, clone: Path, mark: Path, port: int
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    start(empty, mark, port)
    fetch(mirror, clone)
    (first,) = the_daemons(mark)
    start(mirror, mark, port)
    assert git("ls-remote", f"git://{LOOPBACK}:{port}/{PROJECT}")
    (second,) = the_daemons(mark)
    assert second != first
    assert f"--base-path={mirror}" in outliving.arguments(second)


def test_it_is_found_without_its_pid_file(mirror: Path, mark: Path, port: int) -> None:
    start(mirror, mark, port)
    mark.unlink()
    git_daemon.end(mark)
    assert git_daemon.find(mark) == ()


def test_what_only_looks_for_it_lives_on(mark: Path) -> None:
    looking = subprocess.Popen(
        ["sh", "-c", "sleep 30", f"--pid-file={mark}"], start_new_session=True
    )
    try:
        git_daemon.end(mark)
        assert looking.poll() is None
    finally:
        os.killpg(looking.pid, signal.SIGKILL)
        looking.wait()


def test_an_address_that_somebody_has_is_an_error(mirror: Path, mark: Path) -> None:
    with socket.socket() as holder:
        holder.bind((LOOPBACK, 0))  # without listening: a connection is refused
        taken = int(holder.getsockname()[1])
        with pytest.raises(HostError, match=f"port {taken}"):
            start(mirror, mark, taken)
    assert git_daemon.find(mark) == ()
