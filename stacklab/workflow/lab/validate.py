"""Validate several spec files and tell everything that is wrong with all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from stacklab.errors import Problem, RenderError, SpecError
from stacklab.installers import rendering as answers
from stacklab.model.lab import Lab
from stacklab.spec import shown


def _rendered(path: Path, lab: Lab) -> Lab:
    """The lab, whose answer files can be rendered; else SpecError at its stack."""
    try:
        answers.preview(lab)
    except RenderError as error:
        lines = path.read_text().splitlines() if path.is_file() else []
        line = next(
            (number for number, text in enumerate(lines, start=1) if text.startswith("stack:")), 1
        )
        raise SpecError(
            [Problem(shown(path), line, 1, "", error.message, error.hint or "")]
        ) from error
    return lab


def all_of(paths: Sequence[Path], load: Callable[[Path], Lab]) -> tuple[Lab, ...]:
    """Return the labs of these files; raises one SpecError with every file's problems."""
    labs: list[Lab] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            labs.append(_rendered(path, load(path)))
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems, hint="correct them, then ./invoke lab.validate again")
    return tuple(labs)
