"""Read the header of a qcow2 without QEMU: a foreign one could have qemu-img open other files.

The header names the backing file, and may name a file that holds the data. Whoever gets a
qcow2 from elsewhere reads it here first. Source: QEMU's docs/interop/qcow2.rst.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MAGIC = b"QFI\xfb"
_VERSION = 3
_V2 = struct.Struct(">4sIQI52x")  # magic, version, offset and length of the backing file's name
_V3 = struct.Struct(">4sIQIIQIIQQIIQQQQII")
_HAS_DATA_FILE = 1 << 2  # an incompatible feature
_DATA_FILE = 0x44415441  # a header extension: its name
_EXTENSION = struct.Struct(">II")
_END = 0
_BACKING_FORMAT = 0xE2792ACA
_FEATURE_NAMES = 0x6803F857
_CLUSTER_BITS = range(9, 22)
_MOST_HEADER_BYTES = 1 << 21  # the largest cluster: all of the header is in the first one


class NotPlainQcow2(ValueError):
    """A file that is not a qcow2 of the kind that qemu-img makes by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A qcow2 that has neither snapshots nor encryption nor a data file of its own."""

    virtual_bytes: int
    backing: str  # "" for none
    backing_format: str


def read(path: Path) -> Header:
    """Return a disk's header; raises NotPlainQcow2 for whatever qemu-img did not make for us."""
    with path.open("rb") as stream:
        data = stream.read(_MOST_HEADER_BYTES)
    if len(data) < _V3.size:
        raise NotPlainQcow2("it is too short for a qcow2")
    fields = _V3.unpack_from(data)
    magic, version, backing_at, backing_size, cluster_bits, virtual_bytes, crypt = fields[:7]
    snapshots, incompatible, header_size = fields[11], fields[13], fields[17]
    if magic != _MAGIC or version != _VERSION:
        raise NotPlainQcow2("it is not a qcow2 of version 3")
    if cluster_bits not in _CLUSTER_BITS:
        raise NotPlainQcow2(f"its clusters have 2^{cluster_bits} bytes")
    if crypt or snapshots:
        raise NotPlainQcow2("it is encrypted, or has snapshots of its own")
    # Among them: data in another file, and features that only a later QEMU knows.
    if incompatible:
        raise NotPlainQcow2(f"it has the incompatible features {incompatible:#x}")
    extensions = _extensions(data[: 1 << cluster_bits], header_size, backing_at)
    return Header(
        virtual_bytes=virtual_bytes,
        backing=_text(data, backing_at, backing_size),
        backing_format=extensions.get(_BACKING_FORMAT, b"").decode("latin-1"),
    )


def refuse_other_files(path: Path) -> None:
    """Raise NotPlainQcow2 unless it is a qcow2 whose content is all in itself.

    For what was downloaded: it may be of an older version, or have features that ours lack.
    """
    with path.open("rb") as stream:
        data = stream.read(_MOST_HEADER_BYTES)
    if len(data) < _V2.size or data[:4] != _MAGIC:
        raise NotPlainQcow2("it is not a qcow2")
    _, version, backing_at, backing_size = _V2.unpack_from(data)
    if version not in (2, _VERSION):
        raise NotPlainQcow2(f"it is a qcow2 of version {version}")
    if backing_at or backing_size:
        raise NotPlainQcow2("it lies on another file (a backing file)")
    position = _V2.size
    if version == _VERSION:
        if len(data) < _V3.size:
            raise NotPlainQcow2("it is too short for a qcow2")
        fields = _V3.unpack_from(data)
        if fields[13] & _HAS_DATA_FILE:
            raise NotPlainQcow2("its content is in another file (a data file)")
        position = fields[17]
    if _DATA_FILE in _kinds_of_extensions(data, position):
        raise NotPlainQcow2("it names another file (a data file)")


def _kinds_of_extensions(data: bytes, position: int) -> Iterator[int]:
    while position + _EXTENSION.size <= len(data):
        kind, size = _EXTENSION.unpack_from(data, position)
        if kind == _END:
            return
        yield kind
        position += _EXTENSION.size + (size + 7) // 8 * 8


def _extensions(cluster: bytes, position: int, backing_at: int) -> dict[int, bytes]:
    """Return the extensions behind a header; raises NotPlainQcow2 for one that is not known."""
    found: dict[int, bytes] = {}
    end = backing_at or len(cluster)
    while position + _EXTENSION.size <= min(end, len(cluster)):
        kind, size = _EXTENSION.unpack_from(cluster, position)
        if kind == _END:
            break
        # A data file, bitmaps, encryption: our disks have none of them.
        if kind not in (_BACKING_FORMAT, _FEATURE_NAMES):
            raise NotPlainQcow2(f"it has the header extension {kind:#x}")
        position += _EXTENSION.size
        content = cluster[position : position + size]
        if len(content) < size or kind in found:
            raise NotPlainQcow2("its header extensions do not fit")
        found[kind] = content
        position += (size + 7) // 8 * 8
    return found


def _text(data: bytes, start: int, size: int) -> str:
    if not start:
        return ""
    # 1023 is QEMU's own limit.
    if size > 1023 or start + size > len(data):
        raise NotPlainQcow2("the name of its backing file does not fit")
    try:
        return data[start : start + size].decode()
    except UnicodeDecodeError as error:
        raise NotPlainQcow2("the name of its backing file is not text") from error
