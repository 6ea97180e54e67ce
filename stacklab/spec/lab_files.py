"""Files of labs: their names, and what can be said of one without reading it whole."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from stacklab import files
from stacklab.errors import SpecError
from stacklab.words import meant_or_known


class UnknownLab(SpecError):
    """The labs directory does not have a file of that name."""

    def __init__(self, name: str, directory: Path, known: Collection[str]) -> None:
        super().__init__((), hint="./invoke lab.list")
        self.message = f"no lab {name!a} in {shown(directory)}/ ({meant_or_known(name, known)})"


def find(name: str, directory: Path) -> Path:
    """Return the file of a lab; raise UnknownLab, which suggests a name, if there is none."""
    known = names(directory)
    if name not in known:
        raise UnknownLab(name, directory, known)
    return directory / f"{name}.yaml"


def find_or_path(word: str, directory: Path) -> Path:
    """Return the file that a word stands for: a path, or the name of a lab in the directory.

    Raises UnknownLab for a word that can only be a name and is none.
    """
    path = Path(word)
    looks_like_path = path.exists() or bool(path.suffix) or len(path.parts) > 1
    return path if looks_like_path else find(word, directory)


def names(directory: Path) -> tuple[str, ...]:
    """Return the names of all labs in the directory, sorted."""
    return tuple(sorted(path.stem for path in directory.glob("*.yaml")))


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
