"""A lab's own directory as a tar: its record, keys, passwords and answers.

They belong to the nodes' memory and disks: a node that is restored knows its old keys.
"""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import PurePosixPath

from stacklab import files, record, secrets
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
    """Leave out locks, and what is neither a file nor a directory."""
    is_kept = member.isfile() or member.isdir()
    return None if member.name.endswith(".lock") or not is_kept else member


def read_record(place: SnapshotPaths) -> LabRecord:
    """Return the record of the lab as it was; raises LabError where the tar lacks it."""
    text = _text_of(place, place.lab.record.name)
    if text is None:
        raise _damaged(place, "it has no record")
    return record.parse(text, place.lab)


def read_secrets(place: SnapshotPaths) -> Mapping[str, str]:
    """Return the lab's passwords as they were; raises LabError where they can't be read."""
    text = _text_of(place, place.lab.secrets.name)
    try:
        return secrets.parse(text or "{}")
    except (ValueError, AttributeError) as error:
        raise _damaged(place, error) from error


def _text_of(place: SnapshotPaths, name: str) -> str | None:
    """Return the text of a file in the lab's directory; None where it has none of that name."""
    try:
        with tarfile.open(place.files) as archive:
            member = archive.extractfile(name)
            return member.read().decode() if member is not None else None
    except KeyError:
        return None
    except (OSError, tarfile.TarError, UnicodeDecodeError) as error:
        raise _damaged(place, error) from error


def unpack(paths: LabPaths, place: SnapshotPaths) -> None:
    """Put the lab's directory back as it was, but for logs and connections.

    The tar has gone through `refuse_damaged`.
    """
    record_text = _text_of(place, paths.record.name)
    if record_text is None:
        raise _damaged(place, "it has no record")
    files.make_directory(paths.root)
    try:
        with tarfile.open(place.files) as archive:
            # Debian 12's Python does not have it: what it refuses, `refuse_damaged` has refused.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            _empty(paths)
            others = [member for member in archive if member.name != paths.record.name]
            archive.extractall(paths.root, others)
        # ssh ends where it can't make its socket; and the filter above leaves out modes.
        for directory in (paths.keys, paths.sockets):
            directory.mkdir(exist_ok=True)
            directory.chmod(0o700)
    except tarfile.TarError as error:  # but a full disk is not the snapshot's fault
        raise _damaged(place, error) from error
    # In one step: without a record, lab.destroy would leave the nodes that there are.
    files.write(paths.record, record_text)


def refuse_damaged(place: SnapshotPaths) -> None:
    """Raise LabError for a tar that can't be read whole, or that `pack` has not written."""
    try:
        with tarfile.open(place.files) as archive:
            members = archive.getmembers()
    except (OSError, tarfile.TarError) as error:
        raise _damaged(place, error) from error
    for member in members:
        name = PurePosixPath(member.name)
        is_inside = not name.is_absolute() and ".." not in name.parts
        if not is_inside or not (member.isfile() or member.isdir()):
            raise _damaged(place, f"it has a member {member.name!a}")


def _empty(paths: LabPaths) -> None:
    """Remove what is in the lab's directory, but for the record and what no snapshot has."""
    kept = (*_LEFT_OUT, paths.record.name)
    for path in paths.root.iterdir():
        if path.name in kept or path.name.endswith(".lock"):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _damaged(place: SnapshotPaths, why: object) -> LabError:
    return LabError(
        f"snapshot {place.name} of lab {place.lab.name} is damaged: {place.files}: {why}",
        hint=f"./invoke lab.snapshot-delete {place.lab.name} {place.name}",
    )
