"""flock, with words: whoever waits is told for what and for whom."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stacklab.errors import AlreadyRunning, HostError

_POLL_S = 0.2
_TASK = re.compile(r"(lab|image|answers|bench|test)\.[a-z_]+")


@contextmanager
def held(
    path: Path, what: str, *, wait_s: float = 0.0, waiting: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold an exclusive lock; the kernel drops it when the process dies, however it dies.

    Waits up to `wait_s` seconds, telling `waiting` for whom; raises AlreadyRunning after that, HostError
    where the file may not be opened.
    """
    while True:
        descriptor = _open(path)
        try:
            _take(descriptor, what, wait_s, waiting)
            if not _is_at(path, descriptor):
                continue  # who held it deleted the file: others would lock the next one
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
            return
        finally:
            os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise HostError(
            f"{path} can't be locked: {error.strerror}", hint=f"ls -ld {path.parent} {path}"
        ) from error
    # Another user of the same group locks the same file; open() alone leaves it to our umask.
    with contextlib.suppress(PermissionError):  # it is theirs, and they have done this
        os.fchmod(descriptor, 0o666)
    return descriptor


def _take(descriptor: int, what: str, wait_s: float, waiting: Callable[[str], None] | None) -> None:
    deadline = time.monotonic() + wait_s
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        if time.monotonic() >= deadline:
            waited = f"; waited {wait_s:.0f} s for it" if wait_s >= 1 else ""
            raise AlreadyRunning(
                f"{what} is in use by process {holder}{_doing(holder)}{waited}",
                hint=f"wait for it, or look at it: ps -fp {holder}",
            )
        if waiting and not told:
            waiting(
                f"waiting for process {holder}{_doing(holder)}, which uses {what}, {wait_s:.0f} s at most"
            )
            told = True
        time.sleep(_POLL_S)


def _doing(process: str) -> str:
    """What was typed to start a process, in brackets; of ours, what stands behind ./invoke."""
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""  # it has ended, or is no number
    task = next((at for at, word in enumerate(words) if _TASK.fullmatch(word)), None)
    typed = words[task:] if task is not None else [Path(words[0]).name, *words[1:]]
    text = " ".join(filter(None, typed))
    return f" ({''.join(c for c in text if c.isprintable())[:80]})" if text else ""
