"""Write rendered answers below a directory: the only writer of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
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
    wanted = _resolve_paths(rendered, root)
    _make_directory(root)
    # Stale files go first: one may be where a new file needs a directory.
    changed = _remove_stale(root, set(wanted))
    for path, text in wanted.items():
        for directory in _directories_of(root, path):
            _make_directory(directory)
        if _write_file(path, text):
            changed.append(path)
    return tuple(sorted(set(changed)))


def write_into(rendered: Mapping[str, Mapping[PurePosixPath, str]], root: Path) -> tuple[Path, ...]:
    """Write every file below a directory of the user; its other content stays as it is."""
    written = []
    for path, text in _resolve_paths(rendered, root).items():
        for directory in _directories_of(root, path):
            # The mode of a directory that is there is the user's own choice.
            files.make_directory(directory, mode=_DIR_MODE)
        if _write_file(path, text):
            written.append(path)
    return tuple(sorted(written))


def digest(files: Mapping[PurePosixPath, str]) -> str:
    """Hash one node's files and paths: if it is the same, the node needs no new files."""
    whole = hashlib.sha256()
    for path, text in sorted(files.items()):
        for part in (str(path).encode(), text.encode()):
            # With its length before it, no part can be taken for the end of the one before.
            length = len(part).to_bytes(8, "big")
            whole.update(length + part)
    return whole.hexdigest()


def _resolve_paths(
    rendered: Mapping[str, Mapping[PurePosixPath, str]], root: Path
) -> dict[Path, str]:
    """Return every text by its path below `root`; raises RenderError for a path outside."""
    texts: dict[Path, str] = {}
    for node, node_files in rendered.items():
        for path, text in node_files.items():
            texts[_resolve_path(root, node, path)] = text
    return texts


def _resolve_path(root: Path, node: str, path: PurePosixPath) -> Path:
    if not node or "/" in node or node in (".", ".."):
        raise RenderError(f"{node!r} is not a node's name")
    if not path.is_absolute() or ".." in path.parts:
        raise RenderError(f"{node}: {path} is not an absolute path")
    return root / node / path.relative_to("/")


def _directories_of(root: Path, path: Path) -> Iterator[Path]:
    """Yield the directories from `root` down to a file.

    One by one, because mkdir gives its mode only to the last directory of a path.
    """
    for parent in reversed(path.relative_to(root).parents):
        yield root / parent


def _remove_stale(root: Path, wanted: set[Path]) -> list[Path]:
    """Remove whatever is not wanted; links are removed, never followed."""
    wanted_directories = {parent for path in wanted for parent in path.parents}
    removed: list[Path] = []
    # From the bottom up, so that a directory is empty when its turn comes.
    for directory, directory_names, file_names in os.walk(root, topdown=False):
        for name in (*file_names, *directory_names):
            path = Path(directory, name)
            is_link = path.is_symlink()
            if path.is_dir() and not is_link:
                if path not in wanted_directories:
                    path.rmdir()
                continue
            if is_link or path not in wanted:
                path.unlink()
                removed.append(path)
    return removed


def _write_file(path: Path, text: str) -> bool:
    return files.write(path, text.encode(), mode=_FILE_MODE)


def _make_directory(path: Path) -> None:
    """Make a directory that nobody else can read, or make it so if it is there."""
    files.make_directory(path, mode=_DIR_MODE)
    if path.stat().st_mode & 0o777 != _DIR_MODE:
        path.chmod(_DIR_MODE)
