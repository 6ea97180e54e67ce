"""The head of the file into which libvirt saves a domain's memory: its XML. Pure, but for files.

libvirt starts from a save file what the XML in its head describes, as root's libvirtd reads it.
So a file from elsewhere gets a head that was made here. Source: libvirt's
src/qemu/qemu_saveimage.h; version 2, whose numbers have the order of bytes of the host (x86).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

_MAGIC = b"LibvirtQemudSave"
_VERSION = 2
_RAW = 0  # the format of the memory: not packed, and as a stream
# Magic, version, bytes of data, was running, format, where the cookie begins; the rest is unused.
_HEAD = struct.Struct("<16sIIIII56x")
_MOST_DATA_BYTES = 1 << 20  # libvirt's own have some 70 KiB


class NotSaveFile(ValueError):
    """A file that libvirt has not saved a domain's memory into."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveFile:
    """The head of a save file: the domain, and how much room there is for it."""

    xml: str
    room_bytes: int


def read(path: Path) -> SaveFile:
    """Return the head of a save file; raises NotSaveFile for one that is not whole and raw."""
    with path.open("rb") as stream:
        head = stream.read(_HEAD.size)
        if len(head) < _HEAD.size:
            raise NotSaveFile("it is too short for libvirt's save file")
        magic, version, room, _was_running, memory_format, cookie_at = _HEAD.unpack(head)
        if magic != _MAGIC or version != _VERSION:
            raise NotSaveFile("it is not a whole save file of libvirt's, of version 2")
        if memory_format != _RAW:
            raise NotSaveFile("its memory is packed: libvirt's save_image_format has to be raw")
        xml_size = cookie_at or room
        if not 0 < xml_size <= room <= _MOST_DATA_BYTES:
            raise NotSaveFile("the sizes in its head do not fit")
        data = stream.read(room)
    if len(data) < room:
        raise NotSaveFile("it ends in its head")
    try:
        xml = data[:xml_size].split(b"\0", 1)[0].decode()
    except UnicodeDecodeError as error:
        raise NotSaveFile("its XML is not text") from error
    return SaveFile(xml=xml, room_bytes=room)


def rewrite(path: Path, xml: str) -> None:
    """Put another domain into a save file's head, in place; raises NotSaveFile if it does not fit.

    libvirt's cookie goes: it only matters to domains whose processor is `host-model`.
    """
    room = read(path).room_bytes
    data = xml.encode() + b"\0"
    if len(data) > room:
        raise NotSaveFile(f"its head has room for {room} bytes of XML, not for {len(data)}")
    with path.open("r+b") as stream:
        stream.write(_HEAD.pack(_MAGIC, _VERSION, room, 0, _RAW, 0))
        stream.write(data.ljust(room, b"\0"))
