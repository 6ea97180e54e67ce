"""Reading of files that people name, and atomic writing.

After a crash there is the old content of a file or the new one, never a mix.
"""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stacklab.errors import HostError

_DIRECTORY_MODE = 0o755


def expanded(path: str) -> Path:
    """Return a path that may begin at a home, as it was typed where there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def read_regular(path: Path, *, most: int = -1) -> bytes:
    """Return the content of a regular file, at most so many bytes of it; OSError for all else.

    A FIFO would be waited for until somebody writes into it, maybe for ever.
    """
    # O_NONBLOCK has the opening of a FIFO return, too.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            return stream.read(most)
    finally:
        os.close(descriptor)


def write(path: Path, data: str | bytes, *, mode: int = 0o644) -> bool:
    """Write a file atomically with exactly that mode; return True if its content changed.

    A file that has this content already is not written, only given the mode. Missing directories
    are made. Raises HostError for text that cannot be encoded as UTF-8.
    """
    content = _encode(path, data)
    # A link is replaced by a file, even if it leads to the same content.
    is_plain_file = path.is_file() and not path.is_symlink()
    if is_plain_file and path.read_bytes() == content:
        if path.stat().st_mode & 0o777 != mode:
            path.chmod(mode)
        return False
    make_directory(path.parent)
    try:
        with _beside(path, content, mode) as temporary:
            temporary.replace(path)
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)  # which disk is full
        raise
    return True


def create(path: Path, data: str, *, mode: int = 0o644) -> None:
    """Write a new file atomically; raises FileExistsError where there is one, and leaves it alone.

    Its directory must exist.
    """
    with _beside(path, _encode(path, data), mode) as temporary:
        # Unlike a rename, a link never takes the place of another file.
        os.link(temporary, path)


@contextmanager
def _beside(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    """Hand out a file of that content in the same directory; it goes unless it was moved."""
    # Not at the top: TAB and lab.list only read, and it imports a third of what they need.
    import tempfile

    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(content)
            stream.flush()
            # The content must be on the disk before the file gets its name: a file system may
            # write the rename first, and a power cut would then leave an empty file.
            os.fsync(stream.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(path: Path) -> None:
    """Remove what killed processes have left beside a file that they were writing.

    Nobody may be writing it meanwhile.
    """
    for half in path.parent.glob(f".{glob.escape(path.name)}.*"):
        half.unlink(missing_ok=True)


def make_directory(path: Path, *, mode: int = _DIRECTORY_MODE) -> None:
    """Make a directory and its missing parents, which are writable for their owner only.

    `mode` is that of the directory itself; one that exists keeps its own. Under umask 000, which
    containers and some CI systems have, Path.mkdir would let every user of the host replace what
    lies there, also in the parents of a directory with a mode of its own: keys, and files that
    root's ssh and Vagrant execute.
    """
    for directory in reversed((path, *path.parents)):
        if directory.exists() and not directory.is_dir():
            # Named itself, and not what was to be made below it.
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(directory))
        if not directory.exists():
            # exist_ok: another process may make it at the same moment.
            directory.mkdir(mode=mode if directory == path else _DIRECTORY_MODE, exist_ok=True)


def refuse_open(directories: Iterable[Path]) -> None:
    """Raise HostError for a directory in which every user of the host can replace files.

    What lies in a lab's directory gives orders to ssh and Vagrant, which often run as root. In a
    sticky directory such as /tmp nobody can replace another user's files.
    """
    for directory in directories:
        try:
            mode = directory.stat().st_mode
        except OSError:  # it does not exist, or whoever needs it says what is wrong
            continue
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise HostError(
                f"{directory} can be written to by every user of this host: what is in it may be "
                "anybody's",
                hint=f"look at what is in it, then chmod o-w {directory}",
            )


def _encode(path: Path, data: str | bytes) -> bytes:
    if isinstance(data, bytes):
        return data
    try:
        return data.encode()
    except UnicodeEncodeError as error:
        # Python reads a byte of a path that is not UTF-8 as a lone surrogate.
        raise HostError(
            f"{str(path)!a}: its text holds a path that is not UTF-8",
            hint="set STACKLAB_HOME to a directory with a plain name, or move the checkout",
        ) from error
