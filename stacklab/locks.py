"""Exclusive file locks that name their holder to whoever waits."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stacklab import files
from stacklab.errors import AlreadyRunning, HostError

_POLL_S = 0.2
_UNKNOWN = "unknown"
_PROCESS_ID = re.compile(r"[0-9]{1,10}")
_TASK_NAME = re.compile(r"(lab|image|answers|cache|bench|test)\.[a-z_]+")
_LONGEST_COMMAND = 80


@contextmanager
def held(
    path: Path, what: str, *, wait_s: float = 0.0, waiting: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold an exclusive lock on a file, which is made if it is missing.

    Wait up to `wait_s` seconds for another holder, and pass one line about it to `waiting`.
    Raises AlreadyRunning when the time is up, HostError when the file cannot be opened.
    The kernel frees the lock when the process ends, in whatever way it ends.
    """
    while True:
        descriptor = _open_lock_file(path)
        try:
            _acquire(descriptor, path, what, wait_s, waiting)
            if not _is_same_file(path, descriptor):
                # The holder before us deleted the file: the next process would make a new one
                # and lock that, so our lock would protect nothing.
                continue
            _write_process_id(descriptor)
            yield
            return
        finally:
            os.close(descriptor)


def _is_same_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _open_lock_file(path: Path) -> int:
    try:
        files.make_directory(path.parent)
        mode = _lock_file_mode(path.parent)
        # O_NOFOLLOW: the directory may be writable for a group, and we write to the file.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, mode)
    except OSError as error:
        raise HostError(
            f"{path} can't be locked: {error.strerror}", hint=f"ls -ld {path.parent} {path}"
        ) from error
    # open() applies the umask. A file of another user keeps the mode that its owner gave it.
    with contextlib.suppress(PermissionError):
        os.fchmod(descriptor, mode)
    return descriptor


def _lock_file_mode(directory: Path) -> int:
    """Return the mode of lock files: who can open one can also block everybody else by it.

    The directories that users share belong to the group libvirt and have the setgid bit.
    """
    return 0o660 if directory.stat().st_mode & stat.S_ISGID else 0o600


def _write_process_id(descriptor: int) -> None:
    # Only a note for whoever waits. On a full disk it fails, and destroying a lab, which needs
    # its lock, must work all the same.
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _read_process_id(descriptor: int) -> str:
    """Return the number that the holder wrote, or "unknown": other users may write there, too."""
    text = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    return text if _PROCESS_ID.fullmatch(text) else _UNKNOWN


def _acquire(
    descriptor: int,
    path: Path,
    what: str,
    wait_s: float,
    waiting: Callable[[str], None] | None,
) -> None:
    deadline = time.monotonic() + wait_s
    is_announced = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            process_id = _read_process_id(descriptor)
        holder = f"process {process_id}{_command_of(process_id)}"
        if time.monotonic() >= deadline:
            waited = f"; waited {wait_s:.0f} s for it" if wait_s >= 1 else ""
            look = f"lslocks | grep {path.name}"
            if process_id != _UNKNOWN:
                look = f"ps -fp {process_id}"
            raise AlreadyRunning(
                f"{what} is in use by {holder}{waited}",
                hint=f"wait for it, or look at it: {look}",
            )
        if waiting and not is_announced:
            waiting(f"waiting for {holder}, which uses {what}, {wait_s:.0f} s at most")
            is_announced = True
        time.sleep(_POLL_S)


def _command_of(process_id: str) -> str:
    """Return a process's command in brackets; for a task of ours, from the task's name on."""
    if not _PROCESS_ID.fullmatch(process_id):
        return ""
    try:
        command_line = Path(f"/proc/{process_id}/cmdline").read_bytes()
    except OSError:  # the process has ended
        return ""
    words = command_line.decode(errors="replace").split("\0")
    words[0] = Path(words[0]).name
    for position, word in enumerate(words):
        if _TASK_NAME.fullmatch(word):
            words = words[position:]
            break
    # Any user can choose the name of a process: nothing of it may control a terminal.
    text = "".join(char for char in " ".join(filter(None, words)) if char.isprintable())
    return f" ({text[:_LONGEST_COMMAND]})" if text else ""
