"""The stream of a bundle: a tar that is nothing but files, in the order that its index says.

Both ends are strict. There are no links, devices, directories, long names and no padding
that hides anything: what differs in any way from what `packed` yields is refused.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from stacklab.model.bundle import PackedFile

INDEX = "index.json"
MOST_INDEX_BYTES = 1 << 20
_BLOCK = tarfile.BLOCKSIZE
_END = b"\0" * _BLOCK * 2
_PIECE_BYTES = 1 << 20


class DamagedBundle(ValueError):
    """A stream that is not what `packed` yields for its index."""


def packed(index: bytes, members: Iterable[tuple[PackedFile, Path]]) -> Iterator[bytes]:
    """Yield a bundle's bytes; raises DamagedBundle where a file is not what the index says."""
    yield _header(INDEX, len(index))
    yield index + _padding(len(index))
    for member, path in members:
        yield _header(member.name, member.bytes)
        yield from _content(member, path)
        yield _padding(member.bytes)
    yield _END


def _content(member: PackedFile, path: Path) -> Iterator[bytes]:
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
            yield piece
    if (size, digest.hexdigest()) != (member.bytes, member.sha256):
        raise DamagedBundle(f"{path} has changed while it was read")


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o600  # whoever unpacks it by hand has the lab's keys in it
    return member.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return b"\0" * (-size % _BLOCK)


class Sink:
    """Where one member goes: a new file, with holes where its content is zero."""

    def __init__(self, member: PackedFile, path: Path) -> None:
        """Name the file, which must not exist."""
        self.member = member
        self._path = path
        self._digest = hashlib.sha256()
        self._stream: BinaryIO

    def __enter__(self) -> Sink:
        self._stream = self._path.open("xb")
        self._path.chmod(0o600)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()

    def write(self, data: bytes) -> None:
        """Take the next piece."""
        self._digest.update(data)
        if data.count(0) == len(data):
            self._stream.seek(len(data), os.SEEK_CUR)
        else:
            self._stream.write(data)

    def end(self) -> None:
        """Put the file on the disk; raises DamagedBundle if its content is not the index's."""
        self._stream.truncate(self.member.bytes)  # a hole at the end is not written otherwise
        self._stream.flush()
        os.fsync(self._stream.fileno())
        if self._digest.hexdigest() != self.member.sha256:
            raise DamagedBundle(f"{self.member.name} is not what its index says")


class Unpacker:
    """Takes a bundle's bytes as they come, and holds each against what has to come next.

    `begin` is called with the index, and returns a sink for each member, in their order.
    """

    def __init__(self, begin: Callable[[bytes], Iterable[Sink]]) -> None:
        self._buffer = bytearray()
        self._is_whole = False
        self._steps = self._unpack(begin)
        next(self._steps)

    def take(self, data: bytes) -> None:
        """Take the next piece of the stream; raises DamagedBundle."""
        self._buffer += data
        next(self._steps)

    def finish(self) -> None:
        """Raise DamagedBundle unless the stream has ended where it has to."""
        if not self._is_whole:
            raise DamagedBundle("it ends too early")

    def close(self) -> None:
        """Let go of the file that is being written."""
        self._steps.close()

    def _unpack(self, begin: Callable[[bytes], Iterable[Sink]]) -> Generator[None, None, None]:
        """Unpack what is in the buffer, and yield whenever more is needed."""
        block = yield from self._exactly(_BLOCK)
        size = _index_size(block)
        _refuse_other(block, INDEX, size)
        index = yield from self._exactly(size)
        yield from self._skip_padding(size)
        for sink in begin(index):
            member = sink.member
            block = yield from self._exactly(_BLOCK)
            _refuse_other(block, member.name, member.bytes)
            with sink:
                yield from self._pour(sink)
                yield from self._skip_padding(member.bytes)
                sink.end()
        end = yield from self._exactly(len(_END))
        if any(end):
            raise DamagedBundle("it has more members than its index")
        self._is_whole = True
        while not self._buffer:
            yield
        self._is_whole = False
        raise DamagedBundle("something follows its end")

    def _exactly(self, count: int) -> Generator[None, None, bytes]:
        while len(self._buffer) < count:
            yield
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def _pour(self, sink: Sink) -> Generator[None, None, None]:
        left = sink.member.bytes
        while left:
            if not self._buffer:
                yield
                continue
            data = bytes(self._buffer[:left])
            del self._buffer[: len(data)]
            sink.write(data)
            left -= len(data)

    def _skip_padding(self, size: int) -> Generator[None, None, None]:
        padding = yield from self._exactly(len(_padding(size)))
        if any(padding):
            raise DamagedBundle("something is hidden between its members")


def _index_size(block: bytes) -> int:
    try:
        size = tarfile.TarInfo.frombuf(block, "ascii", "strict").size
    except (tarfile.TarError, UnicodeDecodeError) as error:
        raise DamagedBundle("it does not begin with an index") from error
    if not 0 < size <= MOST_INDEX_BYTES:
        raise DamagedBundle(f"its index has {size} bytes")
    return size


def _refuse_other(block: bytes, name: str, size: int) -> None:
    """Raise DamagedBundle for any header but the one that `packed` yields.

    So there are neither links nor devices, nor names or sizes that the index does not have.
    """
    if block != _header(name, size):
        raise DamagedBundle(f"it has something else in the place of {name}")
