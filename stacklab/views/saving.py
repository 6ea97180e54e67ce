"""Save what people want in a file of theirs: whole or not at all, and not where a link leads it.

A report, a page, a chart or a drawing goes to a path that somebody typed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from stacklab import files
from stacklab.errors import LabError


def check_writable(paths: Iterable[str]) -> None:
    """Make sure, before anything runs, that these paths can be written to.

    "" stands for a file that nobody asked for. Raises LabError, which names all that is wrong.
    """
    wanted = [(path, _place_of(path)) for path in paths if path]
    problems: list[str] = []
    count = Counter(place for _, place in wanted)
    for place, times in count.items():
        # Two reports may well go to one pipe, one after the other.
        if times > 1 and not _is_stream(place):
            problems.append(f"{place}: named for two reports")
    for path, place in wanted:
        why_not = _why_not_writable(place)
        if why_not:
            problems.append(f"{path}: {why_not}")
    if problems:
        raise LabError(
            "\n".join(dict.fromkeys(problems)),
            hint="name a file of its own in a directory of yours",
        )


def _place_of(path: str) -> Path:
    """Return where a file goes; raises LabError where another user would redirect it."""
    try:
        place = Path(path).expanduser()
    except RuntimeError as error:
        raise LabError(
            f"{path}: this user does not exist", hint="name a file in a directory of yours"
        ) from error
    link = _planted_link(place.absolute())
    if link:
        raise LabError(
            f"{path}: {link} is another user's link", hint=f"ls -l {link}; name a file elsewhere"
        )
    return place


def _planted_link(place: Path) -> Path | None:
    """Return a link on the way that another user made in a directory such as /tmp.

    See protected_symlinks in proc(5): whoever follows it writes where that user wants.
    """
    shared = stat.S_ISVTX | stat.S_IWOTH  # the sticky bit, and all may write
    for path in (place, *place.parents):
        with contextlib.suppress(OSError):
            link, directory = path.lstat(), path.parent.stat()
            is_in_shared = directory.st_mode & shared == shared
            is_trusted = link.st_uid in (os.geteuid(), directory.st_uid)
            if stat.S_ISLNK(link.st_mode) and is_in_shared and not is_trusted:
                return path
    return None


def _is_stream(path: Path) -> bool:
    """Return True for a pipe or a device: it is written to, and never replaced.

    /dev/stdout counts as one even where it leads to a file.
    """
    is_special = path.parts[:2] in (("/", "dev"), ("/", "proc"))
    if is_special and path.exists() and not path.is_dir():
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _why_not_writable(path: Path) -> str:
    """Return why a path can't be written to, by trying; "" if it can. Leaves nothing behind."""
    try:
        if path.is_dir():
            return "is a directory"
        if _is_stream(path):
            return "" if os.access(path, os.W_OK) else "can't be written to"
        parent = path.resolve().parent
        while not parent.exists():
            parent = parent.parent
        with tempfile.TemporaryFile(dir=parent) as stream:
            stream.write(b"\n")
    except OSError as error:
        return error.strerror or str(error)
    return ""


def save(path: str, parts: Iterable[str]) -> None:
    """Write a file whole or not at all, but for a pipe or a device.

    Raises LabError, which names the path.
    """
    place = _place_of(path)
    try:
        if _is_stream(place):
            with os.fdopen(_open_stream(place), "a", encoding="utf-8", errors="replace") as stream:
                stream.writelines(parts)
        else:
            _write_whole(place.resolve(), parts)  # a link stays one
    except OSError as error:
        # What mkdir says of a file where a directory should be helps nobody.
        why = os.strerror(errno.ENOTDIR) if isinstance(error, FileExistsError) else error.strerror
        raise LabError(f"{path}: {why}", hint=_hint_for(error)) from error


def _open_stream(place: Path) -> int:
    """Open a pipe or a device for writing; raises OSError for a pipe that nobody reads."""
    # Without O_NONBLOCK, opening such a pipe would wait for a reader, maybe for ever.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    try:
        descriptor = os.open(place, flags)
    except OSError as error:
        if error.errno == errno.ENXIO:
            error.strerror = "nobody reads from this pipe"
        raise
    os.set_blocking(descriptor, True)
    return descriptor


def _hint_for(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room there (df -h), or name another file"
    if error.errno == errno.ENXIO:
        return "start what reads it first"
    return "name a file in a directory of yours"


def _write_whole(target: Path, parts: Iterable[str]) -> None:
    """Write a file beside the target, and put it into the target's place when it is complete."""
    files.make_directory(target.parent)
    # Not all of a long name: with what mkstemp adds it would be too long for a file system.
    prefix = f".{target.name[:100]}."
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=prefix)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as stream:
            os.fchmod(stream.fileno(), 0o644)  # mkstemp's files are their owner's alone
            stream.writelines(parts)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
