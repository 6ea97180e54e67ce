"""A lab's own directory as a tar: its record, keys, passwords and answers.

They belong to the nodes' memory and disks: a node that is restored knows its old keys.
"""

from __future__ import annotations

import io
import shutil
import tarfile

from stacklab import files, record
from stacklab.errors import LabError
from stacklab.paths import LabPaths, SnapshotPaths
from stacklab.record import LabRecord

# What tells of today, whatever is restored, and the sockets of ssh's connections.
_LEFT_OUT = ("logs", "ctl")


def pack(paths: LabPaths, place: SnapshotPaths) -> None:
    """Write the tar, 0600."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(paths.root.iterdir()):
            if path.name not in _LEFT_OUT:
                archive.add(path, arcname=path.name, filter=_without_locks)
    files.write(place.files, buffer.getvalue(), mode=0o600)


def _without_locks(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out locks, and what is neither a file, a link nor a directory."""
    is_kept = member.isfile() or member.isdir() or member.issym()
    return None if member.name.endswith(".lock") or not is_kept else member


def read_record(place: SnapshotPaths) -> LabRecord:
    """Return the record of the lab as it was; raises LabError where the tar lacks it."""
    try:
        with tarfile.open(place.files) as archive:
            member = archive.extractfile("record.json")
            if member is not None:
                return record.parse(member.read().decode(), place.lab)
    except (OSError, tarfile.TarError, KeyError, UnicodeDecodeError) as error:
        raise _damaged(place, error) from error
    raise _damaged(place, "it has no record")


def unpack(paths: LabPaths, place: SnapshotPaths) -> None:
    """Put the lab's directory back as it was, but for logs and connections."""
    files.make_directory(paths.root)
    try:
        with tarfile.open(place.files) as archive:
            for path in paths.root.iterdir():
                if path.name in _LEFT_OUT or path.name.endswith(".lock"):
                    continue
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
            archive.extractall(paths.root, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise _damaged(place, error) from error


def _damaged(place: SnapshotPaths, why: object) -> LabError:
    return LabError(
        f"snapshot {place.name} of lab {place.lab.name} is damaged: {place.files}: {why}",
        hint=f"./invoke lab.snapshot-delete {place.lab.name} {place.name}",
    )
