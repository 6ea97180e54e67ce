"""Keep other users of the host away from nodes' disks, which hold passwords and keys.

libvirt gives a running node's disk to QEMU's user and group, and leaves its mode alone. That can't
be narrowed: members of the group libvirt read from such a disk what lies below it. So directories
are closed instead, to all but that group, and QEMU's user, who gets through and sees no names.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from stacklab.errors import LabError
from stacklab.process.command import Runner
from stacklab.tools.host import acl

_OTHERS = 0o007


def close(runner: Runner, directories: Iterable[Path], qemu_uid: int) -> list[str]:
    """Close the directories that are ours; returns why one stays open, a line each.

    Safe to call again. One that another user owns is left for that user, or root, to close.
    """
    open_still: list[str] = []
    for directory in directories:
        if not directory.is_dir():
            continue
        status = directory.stat()
        if os.geteuid() not in (0, status.st_uid):
            continue
        try:
            if qemu_uid not in (0, status.st_uid):
                runner.run(acl.let_through(directory, qemu_uid))
        except LabError as error:
            # Closed without it, no node could start.
            open_still.append(f"{directory} is open to every user of this host: {error.message}")
            continue
        directory.chmod(status.st_mode & 0o7777 & ~_OTHERS)
    return open_still
