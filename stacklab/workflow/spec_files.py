"""The file of a lab that is typed by name or path, and whether a lab on this host is of it."""

from __future__ import annotations

import os
from pathlib import Path

from stacklab import record
from stacklab.errors import AlreadyRunning, LabError
from stacklab.files import expanded
from stacklab.paths import HostPaths, LabPaths
from stacklab.spec.lab_files import SUFFIXES, shown
from stacklab.spec.lab_search import lab_file


def find(host: HostPaths, word: str) -> Path:
    """Return the file that a word stands for: a path, or the name of a lab.

    The name of a lab that is up from a file elsewhere stands for that file, unless a directory of
    labs has that name, too. Raises UnknownLab or AmbiguousLab.
    """
    try:
        return lab_file(word)
    except LabError:
        source = _source_of_name(host, word)
        if source is None:
            raise
        return source


def find_running(host: HostPaths, name: str) -> Path:
    """Return the file that a lab that is up was made from, wherever another of its name is."""
    return _source_of_name(host, name) or lab_file(name)


def _source_of_name(host: HostPaths, word: str) -> Path | None:
    try:
        return record.source(host.lab(word))
    except LabError:  # no lab can have that name
        return None


def name_of(host: HostPaths, word: str) -> str:
    """Return the name of the lab that a word stands for, a name or the path of its file.

    Raises AlreadyRunning for the path of a file of which the lab on this host is not.
    """
    if not word.endswith(SUFFIXES):
        return word  # a directory is not a lab: `lab.destroy ../labs` is refused, as it always was
    path = expanded(word)
    refuse_other(host.lab(path.stem), Path(os.path.realpath(path)))
    return path.stem


def refuse_other(paths: LabPaths, source: Path) -> None:
    """Raise AlreadyRunning where the lab was brought up from another file that still exists.

    One that is gone was moved, or was in a checkout that is gone.
    """
    made_from = record.source(paths)
    if made_from is None or made_from == source:
        return
    raise AlreadyRunning(
        f"lab {paths.name} on this host is that of {shown(made_from)}, "
        f"and {shown(source)} is another one of its name",
        hint=f"give this one another name, or end that one: ./invoke lab.destroy {paths.name}",
    )
