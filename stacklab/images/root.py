"""A base image as a raw disk, whose root file system containers mount read-only.

One build makes both: the raw disk is the image's own content, written once and kept beside it. It
is sparse, so that it takes what is in it: 340 MiB for debian-12. That takes a second.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from stacklab import files, locks
from stacklab.errors import ImageError
from stacklab.paths import HostPaths
from stacklab.process.command import Command, Runner
from stacklab.tools import qemu_img

_CHUNK = 1024 * 1024
_WAIT_S = 600.0
_SECTOR = 512  # sfdisk counts in these
# Mount options by the type of file system: a journal is never replayed on a read-only disk.
_MOUNT_OPTIONS = {"ext4": "noload", "ext3": "noload", "xfs": "norecovery,nouuid", "btrfs": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class RootDisk:
    """A raw disk with a root file system; `offset` is where that begins, in bytes."""

    path: Path
    offset: int
    filesystem: str  # as mount calls it: ext4
    sha256: str  # of all that is not zero
    size_bytes: int
    mtime_ns: int

    @property
    def mount_options(self) -> str:
        """Return the options with which the file system is only ever read."""
        return _MOUNT_OPTIONS[self.filesystem]


def ensure(paths: HostPaths, key: str, runner: Runner) -> RootDisk:
    """Return the raw disk of an image, made if it is missing.

    Raises ImageError where the image has no file system that can be mounted, or where the raw
    disk was changed since it was made: labs that run from it are damaged by that.
    """
    lock = paths.locks / f"root.{key}.lock"
    with locks.held(lock, f"the root of image {key}", wait_s=_WAIT_S):
        kept = _read(paths, key)
        if kept is None:
            return _make(paths, key, runner)
        if not _is_untouched(kept):
            _check_content(kept, key)
        return kept


def verify(paths: HostPaths, key: str) -> None:
    """Read the raw disk of an image whole, if it was made; raise ImageError if it was changed."""
    kept = _read(paths, key)
    if kept is not None:
        _check_content(kept, key)


def _check_content(root: RootDisk, key: str) -> None:
    if _digest(root.path) != root.sha256:
        raise ImageError(
            f"{root.path} was changed since it was made from image {key}\n"
            "  containers that run from it are damaged by that",
            hint=f"rm {root.path}, then ./invoke lab.rebuild each lab on it",
        )


def _read(paths: HostPaths, key: str) -> RootDisk | None:
    """Return what is known of the raw disk; None where it has to be made."""
    path = paths.root_disk(key)
    if not path.is_file():
        return None
    try:
        facts = json.loads(paths.root_facts(key).read_text())
        root = RootDisk(**{**facts, "path": path})
        is_known = root.filesystem in _MOUNT_OPTIONS
    except (OSError, ValueError, TypeError):
        return None
    return root if is_known else None


def _is_untouched(root: RootDisk) -> bool:
    stat = root.path.stat()
    return (stat.st_size, stat.st_mtime_ns) == (root.size_bytes, root.mtime_ns)


def _make(paths: HostPaths, key: str, runner: Runner) -> RootDisk:
    path = paths.root_disk(key)
    image = path.with_suffix(".qcow2")
    part = path.with_suffix(".raw-part")
    # Of a run that was killed; it may be read-only already.
    part.unlink(missing_ok=True)
    try:
        runner.run(qemu_img.convert_to_raw(image, part))
        offset, filesystem = _find_root(part, key, runner)
        part.chmod(0o444)
        digest = _digest(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    stat = path.stat()
    root = RootDisk(
        path=path,
        offset=offset,
        filesystem=filesystem,
        sha256=digest,
        size_bytes=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
    )
    facts = asdict(root)
    del facts["path"]  # it follows from the file's own name: the home may be moved
    files.write(paths.root_facts(key), json.dumps(facts, indent=2) + "\n")
    return root


def _find_root(disk: Path, key: str, runner: Runner) -> tuple[int, str]:
    """Return the place and the type of the disk's largest file system that is known here."""
    found = []
    for start, size in _partitions(disk, runner):
        filesystem = _filesystem_at(disk, start, runner)
        if filesystem in _MOUNT_OPTIONS:
            found.append((size, start, filesystem))
    if not found:
        known = ", ".join(_MOUNT_OPTIONS)
        raise ImageError(
            f"image {key} has no root file system that a container can use (known: {known})",
            hint="leave out --as containers, or take another image: ./invoke image.list",
        )
    _, start, filesystem = max(found)
    return start, filesystem


def _partitions(disk: Path, runner: Runner) -> Iterator[tuple[int, int]]:
    """Yield each partition's start and size in bytes; the whole disk, if it has none."""
    command = Command(
        argv=("sfdisk", "--json", str(disk)), what="reading the partitions", ok_codes=(0, 1)
    )
    result = runner.run(command)
    table: dict[str, Any] = {}
    if result.exit_code == 0:
        table = json.loads(result.stdout)["partitiontable"]
    partitions = table.get("partitions", ())
    for partition in partitions:
        yield partition["start"] * _SECTOR, partition["size"] * _SECTOR
    if not partitions:
        yield 0, disk.stat().st_size


def _filesystem_at(disk: Path, offset: int, runner: Runner) -> str:
    argv = ("blkid", "-p", "-O", str(offset), "-s", "TYPE", "-o", "value", str(disk))
    # 2: nothing is there that it knows.
    result = runner.run(Command(argv=argv, what="looking for file systems", ok_codes=(0, 2)))
    return result.stdout.strip()


def _digest(path: Path) -> str:
    """Return the digest of what is not zero, with its place: holes are not read."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for offset, chunk in _chunks(stream):
            if chunk.strip(b"\0"):
                digest.update(f"{offset}\0".encode() + chunk)
    return digest.hexdigest()


def _chunks(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the chunks that are in no hole, each with its place: multiples of a chunk's size."""
    end = os.fstat(stream.fileno()).st_size
    offset = 0
    while offset < end:
        try:
            data = os.lseek(stream.fileno(), offset, os.SEEK_DATA)
        except OSError:  # ENXIO: nothing but a hole up to the end
            return
        offset = max(offset, data - data % _CHUNK)
        yield offset, os.pread(stream.fileno(), _CHUNK, offset)
        offset += _CHUNK
