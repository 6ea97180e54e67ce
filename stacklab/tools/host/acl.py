"""Command lines of setfacl, which closes a directory to all but one more user."""

from __future__ import annotations

from pathlib import Path

from stacklab.process.command import Command


def close_but_for(directory: Path, uid: int, *, keep_group: bool) -> Command:
    """Close a directory to others, and let a user reach what in it has a name that it knows.

    All at once, and the mask of the list with it: chmod would set that to the group's rights.
    """
    entries = [f"user:{uid}:--x", "other::---"]
    if not keep_group:
        entries.append("group::---")
    argv = ("setfacl", "--modify", ",".join(entries), "--", str(directory))
    return Command(argv=argv, what=f"closing {directory} to all but QEMU's user")
