"""What the probes read of this host; tests pass a fake one."""

from __future__ import annotations

import gzip
import os
import platform
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from stacklab.process.command import Runner
from stacklab.process.runner import SubprocessRunner

_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
_BYTES_PER_MIB = 1024 * 1024


def find_program(name: str) -> str | None:
    """Return the path of a program, also of one in sbin, which a user's PATH on Debian lacks."""
    return shutil.which(name) or shutil.which(name, path=_SBIN)


def read_text(path: Path) -> str:
    """Return a file's text, or "" if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def read_kernel_config(packed: Path | None = None, plain: Path | None = None) -> str:
    """Return the configuration of the running kernel, or "" if it can't be read."""
    try:
        return gzip.decompress((packed or Path("/proc/config.gz")).read_bytes()).decode()
    except (OSError, EOFError, ValueError):  # not gzip is an OSError
        return read_text(plain or Path(f"/boot/config-{platform.release()}"))


def list_dir(path: Path) -> tuple[str, ...]:
    """Return the sorted names in a directory, or () if it cannot be read."""
    try:
        names = [entry.name for entry in path.iterdir()]
    except OSError:
        return ()
    return tuple(sorted(names))


def nearest_existing(path: Path) -> Path:
    """Return the path itself, or the closest directory above it that exists."""
    # The root is its own parent.
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def free_mib(path: Path) -> int:
    """Return the free space where a path is, or would be."""
    usage = shutil.disk_usage(nearest_existing(path))
    return usage.free // _BYTES_PER_MIB


def is_writable(path: Path) -> bool:
    """Return True if we may make that path, or files in it."""
    # X: a file can be made in a directory only by those who may also enter it.
    return os.access(nearest_existing(path), os.W_OK | os.X_OK)


def is_open_to_all(path: Path) -> bool:
    """Return True if every user of the host may write to that path."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return bool(mode & stat.S_IWOTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """This host, as far as the probes use it."""

    runner: Runner = field(default_factory=SubprocessRunner)
    which: Callable[[str], str | None] = find_program
    read_text: Callable[[Path], str] = read_text
    list_dir: Callable[[Path], tuple[str, ...]] = list_dir
    free_mib: Callable[[Path], int] = free_mib
    is_writable: Callable[[Path], bool] = is_writable
    is_open_to_all: Callable[[Path], bool] = is_open_to_all
    kernel_config: Callable[[], str] = read_kernel_config
    release: str = field(default_factory=platform.release)  # of the kernel
    cpus: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    is_root: bool = field(default_factory=lambda: os.geteuid() == 0)
    home: Path = field(default_factory=Path.home)
    user: str = field(default_factory=lambda: os.environ.get("USER", "$USER"))
