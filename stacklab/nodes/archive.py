"""Files for a node, packed as a tar: for its seed disk, and over ssh once it runs. Pure.

stacklab-seed, in every base image, unpacks the seed disk once before the network starts.
The first member's name holds the digest of the rest: a changed seed is unpacked at the
next boot, the same one never twice.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass

_MTIME = 1  # not 0: some tars warn of an "implausibly old time stamp"
_USTAR_PATH = 100  # characters that every path may have; some may have more
_BLOCK = 1024 * 1024  # a disk's size; QEMU wants whole sectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file, or with text None a directory, on the node; `mode` as for chmod."""

    text: str | bytes | None
    mode: int = 0o644
    owner: str = "root"


def image(content: Mapping[str, Entry]) -> bytes:
    """Return the bytes of a seed disk: the same content gives the same bytes."""
    digest = hashlib.sha256(tar(content)).hexdigest()
    mark = f"var/lib/stacklab/seed-{digest[:32]}"
    data = tar({mark: Entry(text=""), **content})
    padding = b"\0" * (-len(data) % _BLOCK)
    return data + padding


def tar(content: Mapping[str, Entry]) -> bytes:
    """Return a ustar archive with owners by name: each system gives `stack` a uid of its own.

    With a long path in it, it is GNU tar's own form.
    """
    is_long = any(len(path) > _USTAR_PATH for path in content)
    form = tarfile.GNU_FORMAT if is_long else tarfile.USTAR_FORMAT
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for path, entry in content.items():
            _add_member(archive, path, entry)
    return buffer.getvalue()


def _add_member(archive: tarfile.TarFile, path: str, entry: Entry) -> None:
    member = tarfile.TarInfo(path)
    member.mode = entry.mode
    member.mtime = _MTIME
    member.uname = member.gname = entry.owner
    # Where the name is unknown, the number counts: 1000 is every cloud's first user.
    member.uid = member.gid = 0 if entry.owner == "root" else 1000
    if entry.text is None:
        member.type = tarfile.DIRTYPE
        archive.addfile(member)
        return
    data = entry.text.encode() if isinstance(entry.text, str) else entry.text
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))
