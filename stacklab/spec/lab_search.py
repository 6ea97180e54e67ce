"""Where labs are looked for: by a path anywhere, or by name in several directories."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from stacklab import settings
from stacklab.errors import SpecError
from stacklab.files import expanded
from stacklab.paths import HostPaths
from stacklab.paths.project import IS_CHECKOUT, LABS
from stacklab.spec.lab_files import SUFFIXES, UnknownLab, files_of, shown

_VARIABLE = "STACKLAB_LABS"


class AmbiguousLab(SpecError):
    """Several files have the name that was typed."""

    def __init__(self, name: str, files: tuple[Path, ...]) -> None:
        places = ", ".join(map(shown, files))
        super().__init__((), hint="name one by its path, or rename all but one")
        self.message = f"several labs are called {name}: {places}"


def directories() -> tuple[Path, ...]:
    """Return the project's directory of labs, those of STACKLAB_LABS, and those of the settings."""
    words = os.environ.get(_VARIABLE, "").split(os.pathsep)
    chosen = [expanded(word).absolute() for word in words if word]
    return tuple(dict.fromkeys((LABS, *chosen, *settings.read(HostPaths.default()).labs)))


def own_directory() -> Path:
    """Return where a new lab's file goes: the user's first directory, if one is set.

    Else it is the checkout's, and the working directory where there is no checkout.
    """
    return (*directories()[1:], LABS if IS_CHECKOUT else Path.cwd())[0]


def known() -> Mapping[str, tuple[Path, ...]]:
    """Return the files of every name, sorted by name; more than one if they can't be told apart."""
    files: dict[str, tuple[Path, ...]] = {}
    seen: set[str] = set()
    for directory in directories():
        for path in files_of(directory):
            # Two directories may be one, by a link.
            place = os.path.realpath(path)  # Path.resolve() raises for a link to itself
            if place not in seen:
                seen.add(place)
                files[path.stem] = (*files.get(path.stem, ()), path)
    return dict(sorted(files.items()))


def lab_file(word: str) -> Path:
    """Return the file of a lab from its path or its name.

    Raises UnknownLab or AmbiguousLab for a name; a path need not exist.
    """
    if is_path(word):
        return expanded(word)
    by_name = known()
    found = by_name.get(word, ())
    if not found:
        raise UnknownLab(word, directories(), by_name)
    if len(found) > 1:
        raise AmbiguousLab(word, found)
    return found[0]


def is_path(word: str) -> bool:
    """Return True for what can only be a path: it has a slash, or ends like a lab's file."""
    return "/" in word or word.endswith(SUFFIXES)
