"""Keep other users of the host away from nodes' disks, which hold passwords and keys.

libvirt gives a running node's disk to QEMU's user and group, and leaves its mode alone. That can't
be narrowed: members of the group libvirt read from such a disk what lies below it. So directories
are closed instead, to all but that group, and QEMU's user, who gets through and sees no names.
"""

from __future__ import annotations

import grp
import os
from collections.abc import Iterable
from pathlib import Path

from stacklab.errors import LabError
from stacklab.process.command import Runner
from stacklab.tools.host import acl

_GROUP = "libvirt"  # root's equals, see SECURITY.md
_OF_OTHERS, _OF_GROUP = 0o007, 0o070


def close(runner: Runner, directories: Iterable[Path], qemu_uid: int) -> list[str]:
    """Close the directories; returns why one stays open, a line each.

    Safe to call again. One that another user owns is for that user, or root, to close.
    """
    still_open: list[str] = []
    for directory in directories:
        why = _close(runner, directory, qemu_uid) if directory.is_dir() else ""
        if why and directory.stat().st_mode & _OF_OTHERS:
            still_open.append(f"{directory} is open to every user of this host: {why}")
    return still_open


def _close(runner: Runner, directory: Path, qemu_uid: int) -> str:
    """Close a directory; returns why it can't be closed, or ""."""
    status = directory.stat()
    if os.geteuid() not in (0, status.st_uid):
        return f"sudo chmod o-rwx {directory}, or ./invoke lab.up as its owner or root, closes it"
    has_our_group = _is_group(status.st_gid)
    if qemu_uid in (0, status.st_uid):
        closed = _OF_OTHERS if has_our_group else _OF_OTHERS | _OF_GROUP
        directory.chmod(status.st_mode & 0o7777 & ~closed)
        return ""
    try:
        runner.run(acl.close_but_for(directory, qemu_uid, keep_group=has_our_group))
    except LabError as error:
        # By its mode alone, no node could start.
        return error.message
    return ""


def _is_group(gid: int) -> bool:
    """Return True for the group of those who may use libvirt, who share one set of disks."""
    try:
        return grp.getgrnam(_GROUP).gr_gid == gid
    except KeyError:
        return False
