"""An image as a raw disk for containers: made once, verified, and refused where it was changed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stacklab.errors import ImageError, ToolError
from stacklab.images import root
from stacklab.paths import HostPaths
from stacklab.process import Command, Result
from tests.conftest import FakeRunner

KEY = "ubuntu-14.04-0123456789ab-cdef0123"  # the dot of a version is no suffix
CONTENT = b"a root file system"
MIB = 1024 * 1024
PARTITIONS = {
    "partitiontable": {
        "label": "gpt",
        "partitions": [
            {"node": "x1", "start": 2048, "size": 8192},
            {"node": "x2", "start": 10240, "size": 4096000},
            {"node": "x3", "start": 4106240, "size": 2048000},
        ],
    }
}


@pytest.fixture
def paths(tmp_path: Path) -> HostPaths:
    paths = HostPaths(tmp_path)
    for directory in (paths.images, paths.locks):
        directory.mkdir(parents=True)
    (paths.images / f"{KEY}.qcow2").write_bytes(b"qcow2")
    return paths


def convert(command: Command) -> Result:
    """qemu-img: a sparse disk with content at its beginning, in the middle and at its end."""
    assert command.argv[-2].endswith(f"{KEY}.qcow2")
    with Path(command.argv[-1]).open("xb") as stream:
        stream.truncate(8 * MIB)
        for offset in (0, 3 * MIB + 5, 8 * MIB - len(CONTENT)):
            stream.seek(offset)
            stream.write(CONTENT)
    return Result(exit_code=0)


def make_runner(table: object = None, **filesystems: str) -> FakeRunner:
    """sfdisk says this table, None: there is none; blkid says what is at these offsets, `at0`."""
    runner = FakeRunner().on("qemu-img", "convert", answer=convert)
    if table is None:
        runner.on("sfdisk", answer=Result(exit_code=1, stderr="no partition table"))
    else:
        runner.on("sfdisk", stdout=json.dumps(table))
    runner.on("blkid", answer=Result(exit_code=2))
    for place, filesystem in filesystems.items():
        offset = place.removeprefix("at")
        runner.on("blkid", "-p", "-O", offset, stdout=f"{filesystem}\n")
    return runner


def test_an_image_without_partitions_is_its_root(paths: HostPaths) -> None:
    made = root.ensure(paths, KEY, make_runner(at0="ext4"))
    assert made.path == paths.root_disk(KEY)
    assert (made.offset, made.filesystem, made.mount_options) == (0, "ext4", "noload")
    assert made.path.stat().st_mode & 0o222 == 0, "nobody writes to it"
    assert made.size_bytes == 8 * MIB


@pytest.mark.parametrize(
    ("filesystem", "options"),
    [("ext4", "noload"), ("ext3", "noload"), ("xfs", "norecovery,nouuid"), ("btrfs", "")],
)
def test_a_journal_is_never_replayed(paths: HostPaths, filesystem: str, options: str) -> None:
    made = root.ensure(paths, KEY, make_runner(at0=filesystem))
    assert made.mount_options == options


def test_the_largest_partition_with_a_file_system_is_the_root(paths: HostPaths) -> None:
    runner = make_runner(PARTITIONS, at1048576="vfat", at5242880="ext4", at2102394880="xfs")
    made = root.ensure(paths, KEY, runner)
    assert (made.offset, made.filesystem) == (10240 * 512, "ext4")


def test_a_larger_partition_that_can_t_be_mounted_is_passed_over(paths: HostPaths) -> None:
    runner = make_runner(PARTITIONS, at5242880="LVM2_member", at2102394880="xfs")
    made = root.ensure(paths, KEY, runner)
    assert (made.offset, made.filesystem) == (4106240 * 512, "xfs")


@pytest.mark.parametrize("table", [None, PARTITIONS, {"partitiontable": {"label": "gpt"}}])
def test_an_image_without_a_known_file_system_is_refused_and_leaves_nothing(
    paths: HostPaths, table: object
) -> None:
    with pytest.raises(ImageError, match=f"image {KEY} has no root file system") as caught:
        root.ensure(paths, KEY, make_runner(table, at0="swap"))
    assert "ext4, ext3, xfs, btrfs" in caught.value.message
    assert "leave out --as containers" in str(caught.value.hint)
    assert sorted(path.name for path in paths.images.iterdir()) == [f"{KEY}.qcow2"]


def test_it_is_made_once(paths: HostPaths) -> None:
    runner = make_runner(at0="ext4")
    first = root.ensure(paths, KEY, runner)
    assert root.ensure(paths, KEY, runner) == first
    assert len([argv for argv in runner.argvs if argv[0] == "qemu-img"]) == 1


def test_a_home_that_was_moved_keeps_it(paths: HostPaths, tmp_path: Path) -> None:
    runner = make_runner(at0="ext4")
    root.ensure(paths, KEY, runner)
    moved = HostPaths(paths.root.rename(tmp_path.with_name("moved")))
    assert root.ensure(moved, KEY, runner).path == moved.root_disk(KEY)
    assert len([argv for argv in runner.argvs if argv[0] == "qemu-img"]) == 1


def overwrite(path: Path, offset: int, content: bytes) -> None:
    path.chmod(0o644)
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(content)


@pytest.mark.parametrize("offset", [0, 1 * MIB + 7, 3 * MIB + 5, 8 * MIB - 1])
def test_a_disk_that_was_changed_is_refused_by_name(paths: HostPaths, offset: int) -> None:
    """In its content, and in what was a hole."""
    runner = make_runner(at0="ext4")
    made = root.ensure(paths, KEY, runner)
    overwrite(made.path, offset, b"!")
    os.utime(made.path, ns=(1, 1))  # its time is not what it was, whatever the clock's grain
    with pytest.raises(ImageError, match="was changed since it was made") as caught:
        root.ensure(paths, KEY, runner)
    assert str(made.path) in caught.value.message
    assert str(caught.value.hint).startswith(f"rm {made.path}, then ./invoke lab.rebuild")


def test_content_that_was_moved_is_a_change(paths: HostPaths) -> None:
    runner = make_runner(at0="ext4")
    made = root.ensure(paths, KEY, runner)
    overwrite(made.path, 0, bytes(len(CONTENT)))
    overwrite(made.path, 1 * MIB, CONTENT)
    os.utime(made.path, ns=(1, 1))
    with pytest.raises(ImageError, match="was changed"):
        root.ensure(paths, KEY, runner)


def test_a_disk_that_was_cut_off_is_refused(paths: HostPaths) -> None:
    runner = make_runner(at0="ext4")
    made = root.ensure(paths, KEY, runner)
    made.path.chmod(0o644)
    os.truncate(made.path, 4 * MIB)
    with pytest.raises(ImageError, match="was changed"):
        root.ensure(paths, KEY, runner)


def test_verify_reads_a_disk_whose_size_and_time_are_as_they_were(paths: HostPaths) -> None:
    made = root.ensure(paths, KEY, make_runner(at0="ext4"))
    root.verify(paths, KEY)
    overwrite(made.path, 3 * MIB + 5, b"!")
    os.utime(made.path, ns=(made.mtime_ns, made.mtime_ns))
    with pytest.raises(ImageError, match="was changed since it was made"):
        root.verify(paths, KEY)


def test_verify_makes_no_disk(paths: HostPaths) -> None:
    root.verify(paths, KEY)
    assert not paths.root_disk(KEY).exists()


def test_a_disk_that_was_only_touched_is_taken(paths: HostPaths) -> None:
    runner = make_runner(at0="ext4")
    made = root.ensure(paths, KEY, runner)
    os.utime(made.path, ns=(1, 1))
    assert root.ensure(paths, KEY, runner).sha256 == made.sha256


def test_what_the_hint_says_cures_it(paths: HostPaths) -> None:
    runner = make_runner(at0="ext4")
    made = root.ensure(paths, KEY, runner)
    overwrite(made.path, 0, b"!")
    made.path.unlink()
    assert root.ensure(paths, KEY, runner).sha256 == made.sha256


def other_file_system(facts: str) -> str:
    return facts.replace('"ext4"', '"ntfs"')


def list_of_file_systems(facts: str) -> str:
    return facts.replace('"ext4"', '["ext4"]')


@pytest.mark.parametrize(
    "facts",
    [
        "",
        "{",
        "[]",
        '{"offset": 0}',
        '{"filesystem": "ext4"}',
        other_file_system,
        list_of_file_systems,
    ],
)
def test_without_its_facts_it_is_made_again(
    paths: HostPaths, facts: str | Callable[[str], str]
) -> None:
    """A run that was killed between the two files leaves the first alone."""
    runner = make_runner(at0="ext4")
    made = root.ensure(paths, KEY, runner)
    file = paths.root_facts(KEY)
    file.write_text(facts if isinstance(facts, str) else facts(file.read_text()))
    assert root.ensure(paths, KEY, runner).sha256 == made.sha256
    assert len([argv for argv in runner.argvs if argv[0] == "qemu-img"]) == 2


def test_half_a_disk_of_a_killed_run_is_not_in_the_way(paths: HostPaths) -> None:
    part = paths.images / f"{KEY}.raw-part"
    part.write_bytes(b"half")
    part.chmod(0o444)
    root.ensure(paths, KEY, make_runner(at0="ext4"))
    assert not part.exists()


def test_a_conversion_that_fails_leaves_nothing(paths: HostPaths) -> None:
    def fail(command: Command) -> Result:
        Path(command.argv[-1]).write_bytes(b"half")
        raise ToolError("qemu-img ended with 1: No space left on device")

    runner = make_runner(at0="ext4").on("qemu-img", "convert", answer=fail)
    with pytest.raises(ToolError, match="No space left"):
        root.ensure(paths, KEY, runner)
    assert sorted(path.name for path in paths.images.iterdir()) == [f"{KEY}.qcow2"]
