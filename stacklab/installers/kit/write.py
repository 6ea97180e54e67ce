"""Write rendered answers below a directory: the only writer of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from stacklab import files
from stacklab.errors import RenderError

_FILE_MODE = 0o600  # answers hold passwords
_DIR_MODE = 0o700


def write_tree(rendered: Mapping[str, Mapping[PurePosixPath, str]], root: Path) -> tuple[Path, ...]:
    """Make `root`, which is ours, hold exactly `root/<node>/<path>` of every rendered file.

    Returns what changed, removed files included, sorted. Files whose text is the
    same are not touched; each file is replaced whole or not at all, and a run that
    was killed is put right by the next.
    """
    wanted = _wanted(rendered, root)
    _make_directory(root)
    removed = _remove_stale(root, set(wanted))
    written = [path for path, text in wanted.items() if _write(root, path, text.encode())]
    return tuple(sorted({*removed, *written}))


def write_into(rendered: Mapping[str, Mapping[PurePosixPath, str]], root: Path) -> tuple[Path, ...]:
    """Write every file below a directory of the user; its other content stays as it is."""
    written = []
    for path, text in _wanted(rendered, root).items():
        for parent in reversed(path.relative_to(root).parents):
            (root / parent).mkdir(mode=_DIR_MODE, parents=True, exist_ok=True)
        if files.write(path, text.encode(), mode=_FILE_MODE):
            written.append(path)
    return tuple(sorted(written))


def _wanted(rendered: Mapping[str, Mapping[PurePosixPath, str]], root: Path) -> dict[Path, str]:
    return {
        _below(root, node, path): text
        for node, files in rendered.items()
        for path, text in files.items()
    }


def digest(files: Mapping[PurePosixPath, str]) -> str:
    """Hash one node's files and paths: if it is the same, the node needs no new files."""
    whole = hashlib.sha256()
    for path, text in sorted(files.items()):
        for part in (str(path).encode(), text.encode()):
            whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()


def _below(root: Path, node: str, path: PurePosixPath) -> Path:
    if not node or "/" in node or node in (".", ".."):
        raise RenderError(f"{node!r} is not a node's name")
    if not path.is_absolute() or ".." in path.parts:
        raise RenderError(f"{node}: {path} is not an absolute path")
    return root / node / path.relative_to("/")


def _remove_stale(root: Path, wanted: set[Path]) -> list[Path]:
    """Remove whatever is not wanted; links are removed, never followed."""
    parents = {parent for path in wanted for parent in path.parents}
    removed: list[Path] = []
    for directory, names, plain in os.walk(root, topdown=False):
        for path in (Path(directory, name) for name in (*plain, *names)):
            if path.is_symlink() or not path.is_dir():
                if path not in wanted or path.is_symlink():
                    path.unlink()
                    removed.append(path)
            elif path not in parents:
                path.rmdir()  # empty by now: the walk is from the bottom up
    return removed


def _write(root: Path, path: Path, content: bytes) -> bool:
    for parent in reversed(path.relative_to(root).parents):
        _make_directory(root / parent)
    return files.write(path, content, mode=_FILE_MODE)


def _make_directory(path: Path) -> None:
    path.mkdir(mode=_DIR_MODE, parents=True, exist_ok=True)
    if path.stat().st_mode & 0o777 != _DIR_MODE:
        path.chmod(_DIR_MODE)
