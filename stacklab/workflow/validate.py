"""Validate several spec files and tell everything that is wrong with all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from stacklab.errors import Problem, SpecError
from stacklab.model import Lab


def all_of(paths: Sequence[Path], load: Callable[[Path], Lab]) -> tuple[Lab, ...]:
    """Return the labs of these files; raises one SpecError with every file's problems."""
    labs: list[Lab] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            labs.append(load(path))
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems, hint="correct them, then ./invoke lab.validate again")
    return tuple(labs)
