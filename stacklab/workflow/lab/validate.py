"""Validate several spec files, and name all that is wrong with all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from stacklab.errors import Problem, RenderError, SpecError
from stacklab.installers import rendering as answers
from stacklab.model.lab import Lab
from stacklab.spec.lab_files import shown


def _with_rendered_answers(path: Path, lab: Lab) -> Lab:
    """Return the lab; raises SpecError, at its stack, where answers can't be rendered."""
    try:
        answers.preview(lab)
    except RenderError as error:
        problem = Problem(
            file=shown(path),
            line=_line_of_stack(path),
            column=1,
            path="",
            wrong=error.message,
            right=error.hint or "",
        )
        raise SpecError([problem]) from error
    return lab


def _line_of_stack(path: Path) -> int:
    """Return the number of the line that begins the stack; 1 where it can't be found."""
    if not path.is_file():
        return 1
    for number, text in enumerate(path.read_text().splitlines(), start=1):
        if text.startswith("stack:"):
            return number
    return 1


def all_of(paths: Sequence[Path], load: Callable[[Path], Lab]) -> tuple[Lab, ...]:
    """Return the labs of these files; raises one SpecError with every file's problems."""
    labs: list[Lab] = []
    # All files, also after one that is wrong: the user wants to see every mistake at once.
    problems: list[Problem] = []
    for path in paths:
        try:
            labs.append(_with_rendered_answers(path, load(path)))
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems, hint="correct them, then ./invoke lab.validate again")
    return tuple(labs)
