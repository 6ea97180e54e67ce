"""Files of labs: their names, and what can be said of one without reading it whole."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from stacklab import files
from stacklab.errors import SpecError
from stacklab.words import meant_or_known

SUFFIXES = (".yaml", ".yml")


class UnknownLab(SpecError):
    """None of the directories with labs has a file of that name."""

    def __init__(self, name: str, directories: Sequence[Path], known: Collection[str]) -> None:
        super().__init__((), hint="./invoke lab.list")
        places = ", ".join(f"{shown(directory)}/" for directory in directories)
        self.message = f"no lab {name!a} in {places} ({meant_or_known(name, known)})"


def find(name: str, directory: Path) -> Path:
    """Return the file of a lab; raise UnknownLab, which suggests a name, if there is none."""
    for path in files_of(directory):
        if path.stem == name:
            return path
    raise UnknownLab(name, (directory,), names(directory))


def names(directory: Path) -> tuple[str, ...]:
    """Return the names of all labs in the directory, sorted."""
    return tuple(dict.fromkeys(path.stem for path in files_of(directory)))


def files_of(directory: Path) -> tuple[Path, ...]:
    """Return the files of all labs in the directory, sorted by name."""
    return tuple(sorted(path for suffix in SUFFIXES for path in directory.glob(f"*{suffix}")))


def headline(path: Path) -> str:
    """Return a lab's description, or "", without validating its file."""
    try:
        text = files.read_regular(path).decode()
    except (OSError, UnicodeDecodeError):
        return ""
    match = re.search(r"^description:[ \t]*(.+?)[ \t]*$", text, re.MULTILINE)
    if match is None:
        return ""
    description = match[1].strip("\"'")
    # The file may be anybody's: nothing of it may control the terminal or the order of letters.
    return "".join(char for char in description if char.isprintable())


def shown(path: Path) -> str:
    """Return a path for messages: relative to the working directory if it is inside it."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
