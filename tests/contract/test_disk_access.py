"""Who gets at nodes' disks, by the host's own setfacl and kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from stacklab.process.runner import SubprocessRunner
from stacklab.providers.libvirt.storage import access

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be other users")
needs_setfacl = pytest.mark.skipif(shutil.which("setfacl") is None, reason="needs setfacl")
pytestmark = [needs_root, needs_setfacl]

QEMU, MEMBER, STRANGER, GROUP = 64055, 61001, 61002, 61003


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A disk as libvirt leaves it, in a directory of a group, below nothing but open ones."""
    directory = tmp_path / "volumes"
    directory.mkdir()
    os.chown(directory, 0, GROUP)
    directory.chmod(0o2775)
    made = directory / "trio_compute1.qcow2"
    made.write_text("a node's password")
    made.chmod(0o644)
    for above in tmp_path.parents:
        if above.stat().st_mode & 0o001 == 0:
            above.chmod(above.stat().st_mode | 0o001)
    tmp_path.chmod(0o755)
    return made


def runs_as(uid: int, gid: int, *argv: str) -> bool:
    """Return whether a user's program succeeds."""
    done = subprocess.run(
        argv, user=uid, group=gid, extra_groups=[], capture_output=True, check=False, timeout=20
    )
    return done.returncode == 0


def close(directory: Path, qemu_uid: int = QEMU) -> list[str]:
    return access.close(SubprocessRunner(), (directory,), qemu_uid)


def test_others_read_no_disk_and_qemu_and_the_group_do(disk: Path) -> None:
    assert runs_as(STRANGER, STRANGER, "cat", str(disk))  # else this proves nothing
    assert close(disk.parent) == []
    assert not runs_as(STRANGER, STRANGER, "cat", str(disk))
    assert not runs_as(STRANGER, STRANGER, "ls", str(disk.parent))
    assert runs_as(QEMU, QEMU, "cat", str(disk))
    assert not runs_as(QEMU, QEMU, "ls", str(disk.parent))
    assert not runs_as(QEMU, QEMU, "touch", str(disk.parent / "new"))
    assert runs_as(MEMBER, GROUP, "touch", str(disk.parent / "new"))
    assert (disk.parent / "new").stat().st_gid == GROUP


def test_again_changes_nothing(disk: Path) -> None:
    close(disk.parent)
    before = disk.parent.stat().st_mode
    assert close(disk.parent) == []
    assert disk.parent.stat().st_mode == before
    assert runs_as(QEMU, QEMU, "cat", str(disk))


def test_a_qemu_that_is_root_needs_no_list(disk: Path) -> None:
    assert close(disk.parent, qemu_uid=0) == []
    assert not runs_as(STRANGER, STRANGER, "cat", str(disk))


def test_where_the_file_system_has_no_lists_it_is_told_and_nodes_still_start(
    tmp_path: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setfacl = tmp_path / "setfacl"
    setfacl.write_text("#!/bin/sh\necho 'Operation not supported' >&2\nexit 1\n")
    setfacl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (why,) = close(disk.parent)
    assert f"{disk.parent} is open to every user of this host" in why
    assert runs_as(QEMU, QEMU, "cat", str(disk))


def test_another_users_directory_is_theirs_to_close(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: MEMBER)
    before = disk.parent.stat().st_mode
    assert close(disk.parent) == []
    assert disk.parent.stat().st_mode == before


def test_a_directory_that_is_not_there_is_none_to_close(tmp_path: Path) -> None:
    assert close(tmp_path / "snapshots") == []
