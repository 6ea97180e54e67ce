"""What the probes may read of this host; a test gives its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from stacklab.process import Runner, SubprocessRunner


def find_program(name: str) -> str | None:
    """Where a program is; Debian keeps sfdisk, mke2fs and ip out of a plain user's PATH."""
    return shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")


def read_text(path: Path) -> str:
    """A file's text; empty when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def list_dir(path: Path) -> tuple[str, ...]:
    """The names in a directory; none when it cannot be read."""
    try:
        return tuple(sorted(entry.name for entry in path.iterdir()))
    except OSError:
        return ()


def nearest_existing(path: Path) -> Path:
    """The path itself, or the closest directory above it that exists."""
    return next((each for each in (path, *path.parents) if each.exists()), Path("/"))


def free_mib(path: Path) -> int:
    """Free space where a path is, or would be."""
    return shutil.disk_usage(nearest_existing(path)).free // (1024 * 1024)


def is_writable(path: Path) -> bool:
    """Whether we may make that path, or things in it."""
    return os.access(nearest_existing(path), os.W_OK | os.X_OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The host as the probes see it."""

    runner: Runner = field(default_factory=SubprocessRunner)
    which: Callable[[str], str | None] = find_program
    read_text: Callable[[Path], str] = read_text
    list_dir: Callable[[Path], tuple[str, ...]] = list_dir
    free_mib: Callable[[Path], int] = free_mib
    is_writable: Callable[[Path], bool] = is_writable
    home: Path = field(default_factory=Path.home)
    user: str = field(default_factory=lambda: os.environ.get("USER", "$USER"))
