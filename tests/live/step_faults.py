"""The steps of a command that change something on this host, and a fault at one of them.

A step is a change of a file below stacklab's home, a qemu-img that makes or changes a disk, or a
call of libvirt that changes something. Nothing of stacklab is patched for that: Python's own audit
events tell of files and programs, whichever function made them, and libvirt's classes are wrapped.
"""

from __future__ import annotations

import errno
import functools
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Any

from stacklab.tools.libvirt import daemon as libvirtd

# How long a step has been under way when `kill-within` kills.
_WITHIN_S = 0.1
# Locks hold no state: the kernel frees them, whatever becomes of their files.
_LOCK = ".lock"
# Of qemu-img, what writes a disk.
_WRITES_A_DISK = ("create", "convert", "resize", "rebase", "commit")

# libvirt's calls that change something, by class; True: they need room on the disk.
CALLS: Mapping[str, Mapping[str, bool]] = {
    "virConnect": {
        "defineXML": True,
        "networkDefineXML": True,
        "restoreFlags": False,
        "storagePoolCreateXML": True,
    },
    "virDomain": {
        "attachDeviceFlags": False,
        "create": False,
        "destroy": False,
        "detachDeviceFlags": False,
        "reset": False,
        "resume": False,
        "saveFlags": True,
        "shutdown": False,
        "suspend": False,
        "undefineFlags": False,
        "updateDeviceFlags": False,
    },
    "virNetwork": {"create": False, "destroy": False, "undefine": False, "update": True},
    "virStoragePool": {"create": False, "destroy": False, "refresh": False, "undefine": False},
}


class Fault(StrEnum):
    """What happens at the chosen step."""

    NONE = "none"  # the steps are counted and named
    KILL = "kill"  # SIGKILL, just before the step
    KILL_WITHIN = "kill-within"  # SIGKILL, a moment after the step has begun
    INTERRUPT = "interrupt"  # Ctrl-C, just before the step
    FULL_DISK = "full-disk"  # from that step on, whatever needs room fails with ENOSPC
    RESTART = "restart-libvirtd"  # libvirtd is killed and started again, just before the step


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A change that is about to be made."""

    number: int  # from 1
    what: str
    needs_room: bool  # on the disk

    @property
    def is_program_or_libvirt(self) -> bool:
        """Return True for what goes on outside of the process when that is killed."""
        return self.what.startswith(("vir", "qemu-img"))

    @property
    def is_libvirt(self) -> bool:
        """Return True for a call of libvirt."""
        return self.what.startswith("vir")


class Steps:
    """Counts the steps of this process, names each in a log, and makes the fault at one of them."""

    def __init__(
        self,
        home: Path,
        *,
        fault: Fault,
        at: int,
        log: Callable[[Step], None],
        kill: Callable[[signal.Signals], None] = lambda number: os.kill(os.getpid(), number),
        restart: Callable[[], None] = lambda: restart_libvirtd(),
    ) -> None:
        self._home = os.path.realpath(home)
        self._fault = fault
        self._at = at
        self._log = log
        self._kill = kill
        self._restart = restart
        self._count = 0
        # A signal's handler may come to a step while one is counted.
        self._lock = threading.RLock()

    def take(self, what: str, *, needs_room: bool, path: str = "") -> None:
        """Count a step that is about to be made; raises OSError where the disk is full."""
        with self._lock:
            self._count += 1
            number = self._count
            # First: after a kill the log's last line is the step that was not made.
            self._log(Step(number=number, what=what, needs_room=needs_room))
        if self._fault is Fault.FULL_DISK:
            # As a real disk: it stays full, and what frees room goes on working.
            if number >= self._at and needs_room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path or None)
        elif number == self._at:
            self._make_fault()

    def _make_fault(self) -> None:
        if self._fault is Fault.KILL:
            self._kill(signal.SIGKILL)
        elif self._fault is Fault.KILL_WITHIN:
            timer = threading.Timer(_WITHIN_S, self._kill, (signal.SIGKILL,))
            timer.daemon = True
            timer.start()
        elif self._fault is Fault.INTERRUPT:
            self._kill(signal.SIGINT)
        elif self._fault is Fault.RESTART:
            self._restart()

    # --- files and programs

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Take a step for an audit event that is one; for sys.addaudithook."""
        if event == "subprocess.Popen":
            self._take_program(args[1])
            return
        reader = _READERS.get(event)
        for change in reader(args) if reader else ():
            if self._is_ours(change.path):
                what = f"{change.verb} {os.path.relpath(change.path, self._home)}"
                self.take(what, needs_room=change.needs_room, path=change.path)

    def _take_program(self, argv: Sequence[str]) -> None:
        words = [os.fsdecode(word) for word in argv]
        action = "".join(words[1:2])
        if Path(words[0]).name == "qemu-img" and action in _WRITES_A_DISK:
            # Their last word may be a size.
            disks = [word for word in words if self._is_ours(word)]
            what = " ".join(os.path.relpath(disk, self._home) for disk in disks)
            self.take(f"qemu-img {action} {what}", needs_room=True)

    def _is_ours(self, path: str) -> bool:
        inside = path.startswith(self._home + os.sep)
        return inside and not path.endswith(_LOCK)

    # --- libvirt

    def wrap_libvirt(self, module: ModuleType) -> None:
        """Have each call that changes something be a step; the module is libvirt."""
        for class_name, methods in CALLS.items():
            owner = getattr(module, class_name)
            for name, needs_room in methods.items():
                real = getattr(owner, name)
                step = f"{class_name}.{name}"
                setattr(owner, name, self._counted(module, real, step, needs_room=needs_room))

    def _counted(
        self, module: ModuleType, real: Callable[..., object], step: str, *, needs_room: bool
    ) -> Callable[..., object]:
        @functools.wraps(real)
        def call(owner: object, *args: object, **kwargs: object) -> object:
            # A connection has no name; the others know theirs without asking libvirtd.
            name = getattr(owner, "name", lambda: "")()
            try:
                self.take(f"{step} {name}".rstrip(), needs_room=needs_room)
            except OSError as error:
                raise module.libvirtError(str(error)) from error
            return real(owner, *args, **kwargs)

        return call


# --- what audit events tell: https://docs.python.org/3/library/audit_events.html


@dataclass(frozen=True, slots=True)
class _Change:
    verb: str
    path: str
    needs_room: bool = False


def _path(name: object, directory: int = -1) -> str | None:
    """Return an absolute path, links in its directories followed; None for an open file."""
    if not isinstance(name, str | bytes | os.PathLike):
        return None
    path = Path(os.fsdecode(name))
    if directory >= 0:
        # shutil.rmtree removes by names in an open directory.
        path = Path(f"/proc/self/fd/{directory}").readlink() / path
    return str(path.parent.resolve() / path.name)


def _opened(args: tuple[Any, ...]) -> Iterator[_Change]:
    name, _mode, flags = args
    if not isinstance(flags, int) or flags & os.O_ACCMODE == os.O_RDONLY:
        return
    path = _path(name)
    if path is not None:
        yield _Change("write", path, needs_room=True)


def _renamed(args: tuple[Any, ...]) -> Iterator[_Change]:
    source, target, source_directory, target_directory = args
    before, path = _path(source, source_directory), _path(target, target_directory)
    if before is not None and path is not None and os.path.lexists(before):
        yield _Change(f"rename {Path(before).name} to", path)


def _removed(args: tuple[Any, ...]) -> Iterator[_Change]:
    name, directory = args
    path = _path(name, directory)
    # What is not there is often removed to make sure: nothing changes.
    if path is not None and os.path.lexists(path):
        yield _Change("remove", path)


def _made_directory(args: tuple[Any, ...]) -> Iterator[_Change]:
    name, _mode, directory = args
    path = _path(name, directory)
    if path is not None and not os.path.lexists(path):
        yield _Change("make directory", path, needs_room=True)


def _linked(args: tuple[Any, ...]) -> Iterator[_Change]:
    # What it is linked to comes first; where the new name is looked up from, last.
    path = _path(args[1], args[-1])
    if path is not None:
        yield _Change("link", path, needs_room=True)


def _truncated(args: tuple[Any, ...]) -> Iterator[_Change]:
    path = _path(args[0])
    if path is not None:
        yield _Change("truncate", path)


_READERS: Mapping[str, Callable[[tuple[Any, ...]], Iterator[_Change]]] = {
    "open": _opened,
    "os.rename": _renamed,
    "os.remove": _removed,
    "os.rmdir": _removed,
    "os.mkdir": _made_directory,
    "os.link": _linked,
    "os.symlink": _linked,
    "os.truncate": _truncated,
}


def restart_libvirtd() -> None:
    """Kill libvirtd and start it again, as its users are told to; nodes run on."""
    subprocess.run(
        ("sh", "-c", libvirtd.restart_line()),
        check=True,
        stdin=subprocess.DEVNULL,
        # Daemons may keep what they are given: the reader of ours would wait for them.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=60,
    )
