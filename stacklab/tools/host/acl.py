"""Command lines of setfacl, which gives one more user a right to a directory."""

from __future__ import annotations

from pathlib import Path

from stacklab.process.command import Command


def let_through(directory: Path, uid: int) -> Command:
    """Let a user reach what lies in a directory and whose name it knows, and not list it."""
    argv = ("setfacl", "--modify", f"user:{uid}:--x", "--", str(directory))
    return Command(argv=argv, what=f"letting QEMU's user through {directory}")
