"""Bundles as files: packed and unpacked by zstd, the index before all others."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from stacklab.errors import CommandFailed, LabError
from stacklab.model import bundle
from stacklab.model.bundle import BundleIndex, PackedFile
from stacklab.paths.names import is_lab_name
from stacklab.process.command import Piping
from stacklab.tools import zstd
from stacklab.workflow.bundles import bundle_stream
from stacklab.workflow.bundles.bundle_stream import DamagedBundle, Sink, Unpacker

_PIECE_BYTES = 1 << 16
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DISK_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}\.qcow2")
_IMAGE_KEY = re.compile(r"[a-z0-9.-]{1,64}-[0-9a-f]{12}-[0-9a-f]{8}")


def write(
    runner: Piping, target: Path, index: BundleIndex, files: Iterable[tuple[PackedFile, Path]]
) -> None:
    """Write a bundle, 0600, in the place of what is there; nothing is left of half a one."""
    text = (json.dumps(bundle.CODEC.encode(index), indent=1) + "\n").encode()
    if len(text) > bundle_stream.MOST_INDEX_BYTES:
        raise LabError(f"the index of {target} has {len(text)} bytes: too many nodes and disks")
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    half = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            command = zstd.pack(f"packing {target}", index.bytes)
            feed = bundle_stream.packed(text, files)
            runner.pipe(command, feed=feed, take=functools.partial(_write_to, stream))
            stream.flush()
            os.fsync(stream.fileno())
        half.replace(target)
    except DamagedBundle as error:
        raise LabError(str(error), hint="./invoke lab.snapshots, then the same again") from error
    finally:
        half.unlink(missing_ok=True)


def _write_to(stream: BinaryIO, piece: bytes) -> None:
    stream.write(piece)


class _Enough(Exception):
    """The index was read: nothing more is wanted."""


def read_index(runner: Piping, file: Path) -> BundleIndex:
    """Return the index of a bundle, of which no more is read; raises LabError for a damaged one."""
    found: list[BundleIndex] = []

    def begin(text: bytes) -> Iterable[Sink]:
        found.append(parse_index(text))
        raise _Enough

    with contextlib.suppress(_Enough):
        _unpack(runner, file, begin, most_bytes=bundle_stream.MOST_INDEX_BYTES)
    return found[0]


def unpack(
    runner: Piping, file: Path, index: BundleIndex, sink: Callable[[PackedFile], Sink]
) -> None:
    """Unpack all members of a bundle; raises LabError for whatever is not as the index says."""

    def begin(text: bytes) -> Iterator[Sink]:
        # Another process may have put another file in its place since it was looked at.
        if parse_index(text) != index:
            raise DamagedBundle("it has changed while it was read")
        return (sink(member) for member in index.members)

    _unpack(runner, file, begin, most_bytes=index.bytes)


def _unpack(
    runner: Piping, file: Path, begin: Callable[[bytes], Iterable[Sink]], *, most_bytes: int
) -> None:
    unpacker = Unpacker(begin)
    command = zstd.unpack(f"unpacking {file}", most_bytes)
    try:
        runner.pipe(command, feed=_pieces(file), take=unpacker.take)
        unpacker.finish()
    except DamagedBundle as error:
        raise damaged(file, error) from error
    except CommandFailed as error:  # not zstd's, or cut off
        raise damaged(file, error.message) from error
    finally:
        unpacker.close()


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while piece := stream.read(_PIECE_BYTES):
            yield piece


def parse_index(text: bytes) -> BundleIndex:
    """Return an index whose names and sizes may be used; raises DamagedBundle."""
    try:
        data = json.loads(text)
        if not isinstance(data, dict) or data.get("format") != bundle.FORMAT:
            raise DamagedBundle(
                "its index is of another format: take the stacklab that has made it"
            )
        index = bundle.CODEC.decode(data)
    except (ValueError, RecursionError) as error:
        raise DamagedBundle(f"its index can't be read: {error}") from error
    for problem in _problems(index):
        raise DamagedBundle(f"its index is wrong: {problem}")
    return index


def _problems(index: BundleIndex) -> Iterator[str]:
    """Yield what is wrong with an index, before anything is done by it."""
    manifest = index.manifest
    for name in (manifest.lab, manifest.name, *manifest.nodes):
        if not is_lab_name(name):
            yield f"{name!a} can't be a name"
    if not Path(index.home).is_absolute():
        yield f"{index.home!a} can't be the home of its lab"
    if manifest.image != index.image.key or not _IMAGE_KEY.fullmatch(index.image.key):
        yield f"{index.image.key!a} can't be its base image"
    if manifest.nodes.keys() != index.chains.keys() or not manifest.nodes:
        yield "it has not a chain of disks for each node"
        return
    for node, part in manifest.nodes.items():
        if part.further_disks:
            yield f"{node} has further disks, which no bundle carries"
    yield from _problems_of_disks(index)
    yield from _problems_of_members(index)


def _problems_of_disks(index: BundleIndex) -> Iterator[str]:
    for node, chain in index.chains.items():
        if not chain or chain[0] != index.manifest.nodes[node].disk:
            yield f"the disks of {node} do not begin with that of the snapshot"
        for disk in chain:
            if not _DISK_NAME.fullmatch(disk):
                yield f"{disk!a} can't be a disk"


def _problems_of_members(index: BundleIndex) -> Iterator[str]:
    names = tuple(member.name for member in index.members)
    if names != bundle.member_names(index):
        yield "its members are not those of the snapshot"
    sizes = [(member.name, member.bytes, member.sha256) for member in index.members]
    sizes.append((index.image.key, index.image.bytes, index.image.sha256))
    for name, size, digest in sizes:
        if size < 0 or not _SHA256.fullmatch(digest):
            yield f"{name} has no size or digest"


def damaged(file: Path, why: object) -> LabError:
    """Return the refusal of a bundle."""
    return LabError(
        f"{file} is not a bundle that can be imported: {why}",
        hint="export it again: ./invoke lab.export LAB SNAPSHOT",
    )
