"""Who gets at nodes' disks, by the host's own setfacl and kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab.process.runner import SubprocessRunner
from stacklab.providers.libvirt.storage import access

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be other users")
needs_setfacl = pytest.mark.skipif(shutil.which("setfacl") is None, reason="needs setfacl")
pytestmark = [needs_root, needs_setfacl]

QEMU, MEMBER, STRANGER, GROUP = 64055, 61001, 61002, 61003


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A disk as libvirt leaves it, in a directory of a group, below nothing but open ones."""
    with tempfile.TemporaryDirectory(dir="/tmp") as place:  # pytest's own is closed to others
        Path(place).chmod(0o755)
        directory = Path(place) / "volumes"
        directory.mkdir()
        os.chown(directory, 0, GROUP)
        directory.chmod(0o2775)
        made = directory / "trio_compute1.qcow2"
        made.write_text("a node's password")
        made.chmod(0o644)
        monkeypatch.setattr(access, "_is_group", lambda gid: gid == GROUP)
        yield made


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


def test_another_users_directory_is_theirs_to_close_and_that_is_told(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = disk.parent.stat().st_mode
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: MEMBER)
        (why,) = close(disk.parent)
    assert f"sudo chmod o-rwx {disk.parent}" in why
    assert disk.parent.stat().st_mode == before
    close(disk.parent)
    monkeypatch.setattr(os, "geteuid", lambda: MEMBER)
    assert close(disk.parent) == []


def test_a_group_of_anybody_reads_no_disk_either(disk: Path) -> None:
    os.chown(disk.parent, 0, MEMBER)
    assert runs_as(MEMBER, MEMBER, "cat", str(disk))
    assert close(disk.parent) == []
    assert not runs_as(MEMBER, MEMBER, "cat", str(disk))
    assert runs_as(QEMU, QEMU, "cat", str(disk))


def test_qemu_gets_through_a_directory_that_was_its_owners_alone(disk: Path) -> None:
    disk.parent.chmod(0o2700)
    assert close(disk.parent) == []
    assert runs_as(QEMU, QEMU, "cat", str(disk))
    assert not runs_as(MEMBER, GROUP, "cat", str(disk))


def test_one_that_is_closed_already_is_not_called_open(
    tmp_path: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close(disk.parent)
    setfacl = tmp_path / "setfacl"
    setfacl.write_text("#!/bin/sh\nexit 1\n")
    setfacl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert close(disk.parent) == []


def test_a_directory_that_is_not_there_is_none_to_close(tmp_path: Path) -> None:
    assert close(tmp_path / "snapshots") == []
