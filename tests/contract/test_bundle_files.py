"""Bundles by the real zstd, and foreign disks by the real qemu-img."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from stacklab.errors import LabError
from stacklab.model.bundle import BundledImage, BundleIndex, PackedFile, member_names
from stacklab.model.lab import Size
from stacklab.model.snapshot import Hardware, NodePart, SnapshotManifest
from stacklab.process import Command, Result, SubprocessRunner
from stacklab.tools import qcow2, qemu_img
from stacklab.workflow.bundles import bundle_files
from stacklab.workflow.bundles.bundle_stream import Sink

pytestmark = pytest.mark.skipif(
    not (shutil.which("zstd") and shutil.which("qemu-img")),
    reason="zstd or qemu-img is not installed",
)

RUNNER = SubprocessRunner()
HOLE = 64 << 20


def make_index(contents: dict[str, bytes]) -> BundleIndex:
    """An index of one node, whose members have these contents in turn."""
    manifest = SnapshotManifest(
        lab="solo",
        name="first",
        made_at=1.0,
        provider="libvirt",
        image="debian-12-0123456789ab-01234567",
        machine=Hardware(qemu="7.2.0", accelerator="qemu", cpu="qemu64"),
        nodes={"node": NodePart(disk="x-node.qcow2", memory_bytes=1)},
        skew_s=0.0,
        paused_s=0.0,
        bytes=1,
    )
    members = tuple(
        PackedFile(name=name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        for name, data in contents.items()
    )
    return BundleIndex(
        format=1,
        key="key",
        home="/home",
        image=BundledImage(key=manifest.image, sha256="0" * 64, bytes=1, is_inside=False),
        manifest=manifest,
        chains={"node": ("x-node.qcow2",)},
        members=members,
    )


@pytest.fixture
def packed(tmp_path: Path) -> tuple[Path, BundleIndex]:
    """A bundle of a member of noise, one that is a hole, an empty one, and two small ones."""
    below = ("domain.xml", "seed.img", "memory", "disk0.qcow2")
    names = ("files.tar", *(f"nodes/node/{name}" for name in below))
    contents = dict(zip(names, (os.urandom(3 << 20), b"", b"a", bytes(HOLE), b"b"), strict=True))
    index = make_index(contents)
    assert member_names(index) == names
    files = []
    for number, member in enumerate(index.members):
        path = tmp_path / f"source{number}"
        path.write_bytes(contents[member.name])
        files.append((member, path))
    target = tmp_path / "bundle.tar.zst"
    bundle_files.write(RUNNER, target, index, files)
    return target, index


def unpack(
    target: Path, index: BundleIndex, directory: Path, runner: SubprocessRunner = RUNNER
) -> None:
    directory.mkdir()

    def sink(member: PackedFile) -> Sink:
        return Sink(member, directory / member.name.replace("/", "_"))

    bundle_files.unpack(runner, target, index, sink)


def test_what_was_packed_is_unpacked_and_holes_stay_holes(
    packed: tuple[Path, BundleIndex], tmp_path: Path
) -> None:
    target, index = packed
    assert target.stat().st_size < 5 << 20
    assert bundle_files.read_index(RUNNER, target) == index
    unpack(target, index, tmp_path / "out")
    for number, member in enumerate(index.members):
        path = tmp_path / "out" / member.name.replace("/", "_")
        assert path.read_bytes() == (tmp_path / f"source{number}").read_bytes()
    assert (tmp_path / "out" / "nodes_node_memory").stat().st_blocks * 512 < HOLE / 10


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999999])
def test_one_that_was_cut_off_is_refused(
    packed: tuple[Path, BundleIndex], tmp_path: Path, share: float
) -> None:
    target, index = packed
    data = target.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(LabError, match="is not a bundle"):
        unpack(target, index, tmp_path / "out")


def test_one_that_was_altered_is_refused(packed: tuple[Path, BundleIndex], tmp_path: Path) -> None:
    target, index = packed
    data = bytearray(target.read_bytes())
    data[len(data) // 2] ^= 1
    target.write_bytes(data)
    with pytest.raises(LabError, match="is not a bundle"):
        unpack(target, index, tmp_path / "out")


class CountingRunner(SubprocessRunner):
    """Counts the bytes that a command hands out."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0

    def pipe(
        self, command: Command, *, feed: Iterable[bytes], take: Callable[[bytes], None]
    ) -> Result:
        def counted(piece: bytes) -> None:
            self.taken += len(piece)
            take(piece)

        return super().pipe(command, feed=feed, take=counted)


def test_a_bomb_is_ended_at_the_size_that_its_index_says(
    packed: tuple[Path, BundleIndex], tmp_path: Path
) -> None:
    """8 GiB of zeros behind the bundle's end, in 300 KiB: not one piece too many is read."""
    target, index = packed
    zeros = tmp_path / "zeros"
    with zeros.open("wb") as stream:
        stream.truncate(64 << 20)
    packed_zeros = tmp_path / "zeros.zst"
    RUNNER.run(Command(argv=("zstd", "-q", "-1", "-o", str(packed_zeros), str(zeros))))
    with target.open("ab") as stream:
        stream.write(packed_zeros.read_bytes() * 128)  # zstd unpacks them one behind the other
    runner = CountingRunner()
    with pytest.raises(LabError, match="follows its end"):
        unpack(target, index, tmp_path / "out", runner)
    # Headers and padding are some KiB; so is the piece in which the end was.
    assert runner.taken < index.bytes + (1 << 20)


def test_a_header_is_read_as_qemu_img_wrote_it(tmp_path: Path) -> None:
    base, disk, moved = (tmp_path / name for name in ("base.qcow2", "disk.qcow2", "moved.qcow2"))
    raw = tmp_path / "raw"
    raw.write_bytes(b"x" * 4096)
    RUNNER.run(qemu_img.convert(raw, base))
    RUNNER.run(qemu_img.overlay(disk, base, Size.parse("1GiB")))
    assert qcow2.read(base) == qcow2.Header(virtual_bytes=4096, backing="", backing_format="")
    header = qcow2.Header(virtual_bytes=1 << 30, backing=str(base), backing_format="qcow2")
    assert qcow2.read(disk) == header
    # Without its base in either place: nothing of it is opened.
    base.unlink()
    RUNNER.run(qemu_img.rebase(disk, moved))
    assert qcow2.read(disk).backing == str(moved)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ("data_file=outside.raw", "incompatible features"),
        ("compat=0.10", "version 3"),
        ("extended_l2=on", "incompatible features"),
        ("compression_type=zstd", "incompatible features"),
    ],
)
def test_a_disk_of_another_kind_is_refused(tmp_path: Path, options: str, match: str) -> None:
    path = tmp_path / "odd.qcow2"
    argv = ("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, str(path), "1M")
    RUNNER.run(Command(argv=argv, cwd=tmp_path))
    with pytest.raises(qcow2.NotPlainQcow2, match=match):
        qcow2.read(path)


@pytest.mark.parametrize(
    ("options", "is_refused"),
    [
        (["-o", "compat=0.10"], False),
        (["-o", "compat=1.1"], False),
        (["-o", "extended_l2=on"], False),
        (["-o", "compression_type=zstd"], False),
        (["-o", "data_file=outside.raw"], True),
        (["-o", "data_file=outside.raw,data_file_raw=on"], True),
        (["-u", "-F", "raw", "-b", "/etc/hostname"], True),
        (["-u", "-F", "raw", "-b", 'json:{"file.filename":"/etc/hostname"}'], True),
        (["-o", "compat=0.10", "-u", "-F", "raw", "-b", "/etc/hostname"], True),
    ],
    ids=str,
)
def test_a_download_with_content_in_other_files_is_refused_and_no_other(
    tmp_path: Path, options: list[str], is_refused: bool
) -> None:
    path = tmp_path / "downloaded.qcow2"
    argv = ("qemu-img", "create", "-q", "-f", "qcow2", *options, str(path), "1M")
    RUNNER.run(Command(argv=argv, cwd=tmp_path))
    if is_refused:
        with pytest.raises(qcow2.NotPlainQcow2, match="another file"):
            qcow2.refuse_other_files(path)
    else:
        qcow2.refuse_other_files(path)
