"""Hold a user namespace for a container, and mount directories with its ids.

machine.sh runs it as root, with nothing but Python's own library:

    python3 user_namespace.py MACHINE FROM TO [FROM TO...]

It prints the host's id that is 0 in the namespace, once all is there, and stays until it is killed.

A mount with a namespace's ids shows what root has on the disk as the node's root's: no file is
changed, and what the node writes is on the disk as root's, too.
"""

# To import pathlib takes as long as all that is done here.
# ruff: noqa: PTH123, PTH208

from __future__ import annotations

import ctypes
import fcntl
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence

COUNT = 65536
# What lies around it: useradd's subordinate ids, those that SSSD makes up (to 0x77387940) and
# systemd's containers (to 0x6fffffff) below, systemd's foreign ids (from 0x7ffe0000) above.
LOWEST = 0x7800_0000
HIGHEST = 0x7FFE_0000

_LOCK = "/run/stacklab-users.lock"
_SUBORDINATE = ("/etc/subuid", "/etc/subgid")

# Of <sched.h>, <fcntl.h> and <linux/mount.h>.
_CLONE_NEWUSER = 0x1000_0000
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MOUNT_ATTR_RDONLY = 1
_MOUNT_ATTR_IDMAP = 0x0010_0000
# The same on all architectures of Linux but alpha.
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_MOUNT_SETATTR = 442

_libc = ctypes.CDLL(None, use_errno=True)


class MountAttr(ctypes.Structure):
    """`struct mount_attr` of <linux/mount.h>."""

    _fields_ = [
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    ]


def choose_first(machine: str, taken: Iterable[tuple[int, int]]) -> int:
    """Return the first of COUNT ids that nobody has; `taken` are (first, count).

    A machine gets the same ids again as long as they are free.
    """
    taken = list(taken)
    places = (HIGHEST - LOWEST) // COUNT
    start = zlib.crc32(machine.encode())
    for step in range(places):
        first = LOWEST + (start + step) % places * COUNT
        if not any(first < other + count and other < first + COUNT for other, count in taken):
            return first
    raise OSError(f"all {places} ranges of user ids for containers are taken")


def taken_ids() -> Iterator[tuple[int, int]]:
    """Yield the ranges that this host's processes have, and those promised to its users."""
    seen: set[str] = set()
    for process in filter(str.isdigit, os.listdir("/proc")):
        for kind in ("uid", "gid"):
            # A process may have ended since.
            seen.update(_lines(f"/proc/{process}/{kind}_map"))
    for line in seen:
        _, first, count = map(int, line.split())
        # The host's own processes have all that there are.
        if (first, count) != (0, 2**32 - 1):
            yield first, count
    for table in _SUBORDINATE:
        for line in _lines(table):
            words = line.split(":")
            if len(words) == 3 and words[1].isdigit() and words[2].isdigit():
                yield int(words[1]), int(words[2])


def _lines(path: str) -> Sequence[str]:
    try:
        with open(path) as file:
            return file.read().splitlines()
    except OSError:
        return ()


def make(machine: str, pairs: Sequence[str]) -> int:
    """Enter a new user namespace; return the host's id of its root."""
    with open(_LOCK, "w") as lock:
        # Until the ids are seen in /proc.
        fcntl.flock(lock, fcntl.LOCK_EX)
        first = choose_first(machine, taken_ids())
        from_holder, to_helper = os.pipe()
        holder = os.getpid()
        helper = os.fork()
        if helper == 0:
            # Of the holder alone: whatever ends that, the helper's wait has an end.
            os.close(to_helper)
            os._exit(_help(holder, first, from_holder, pairs))
        _call(_libc.unshare, _CLONE_NEWUSER)
        os.write(to_helper, b"1")
        _, status = os.waitpid(helper, 0)
    if status:
        raise OSError("privileged: true in the spec does without a user namespace")
    return first


def _help(holder: int, first: int, from_holder: int, pairs: Sequence[str]) -> int:
    """Do what can only be done from outside of the namespace; return an exit code."""
    try:
        if not os.read(from_holder, 1):
            return 1
        for kind in ("uid", "gid"):
            with open(f"/proc/{holder}/{kind}_map", "w") as table:
                table.write(f"0 {first} {COUNT}")
        mount(holder, pairs)
    except OSError as error:
        # An old kernel, or a file system that can't show other ids than its own.
        print(f"the node's user namespace can't be made: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def mount(holder: int, pairs: Sequence[str]) -> None:
    """Mount each first of a pair at the second, with the ids of a process's namespace."""
    users = os.open(f"/proc/{holder}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    for source, target in zip(pairs[::2], pairs[1::2], strict=True):
        # A file is the node's seed: its root could make it writable again, unless it is locked so.
        read_only = 0 if os.path.isdir(source) else _MOUNT_ATTR_RDONLY  # noqa: PTH112
        wanted = MountAttr(attr_set=_MOUNT_ATTR_IDMAP | read_only, userns_fd=users)
        flags = _OPEN_TREE_CLONE | os.O_CLOEXEC
        tree = _syscall(source, _SYS_OPEN_TREE, _AT_FDCWD, os.fsencode(source), flags)
        attributes = (ctypes.byref(wanted), ctypes.sizeof(wanted))
        _syscall(source, _SYS_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, *attributes)
        place = (_AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH)
        _syscall(target, _SYS_MOVE_MOUNT, tree, b"", *place)
        os.close(tree)


def _syscall(about: str, number: int, *arguments: object) -> int:
    # Without a type of its own, a number would be passed as 32 bits.
    typed = [ctypes.c_long(one) if isinstance(one, int) else one for one in (number, *arguments)]
    return _call(_libc.syscall, *typed, about=about)


def _call(function: Callable[..., int], *arguments: object, about: str = "") -> int:
    result = function(*arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), about or function.__name__)
    return result


if __name__ == "__main__":
    try:
        print(make(sys.argv[1], sys.argv[2:]), flush=True)
    except OSError as error:
        sys.exit(str(error))
    os.execvp("sleep", ["sleep", "infinity"])
