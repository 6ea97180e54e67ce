"""invoke's own complaints about a command line, with what to type next.

invoke says "No idea what '--tll' is!" and ends with 1. The exit code stays; the words here say
which task it is about, what was probably meant, and how to get help.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from typing import Any

from invoke.exceptions import ParseError
from invoke.program import Program

from stacklab.cli import streams
from stacklab.typed import as_typed
from stacklab.words import nearest

# The messages of invoke's parser, each with what is taken out of it. DOTALL: a word that was typed
# may have line ends in it.
_UNKNOWN = re.compile(r"No idea what (?P<quote>['\"])(?P<word>.*)(?P=quote) is!", re.DOTALL)
_MISSING = re.compile(
    r"'(?P<task>\S+)' did not receive required positional arguments: (?P<names>.*)"
)
_NO_VALUE = re.compile(r"Flag <Argument: (?P<name>\S+).*> needed value and was not given one!")


def give_next_steps() -> None:
    """Make invoke's complaints name a next step; to be called once, before it parses the tasks."""
    # invoke offers no hook between its parser and its exit, so its two steps are wrapped.
    for name in ("parse_tasks", "parse_cleanup"):
        setattr(Program, name, _explaining(getattr(Program, name)))


def _explaining(step: Callable[[Any], None]) -> Callable[[Any], None]:
    @functools.wraps(step)
    def wrapped(program: Any) -> None:
        try:
            with streams.written_out():  # -l and --help print here
                step(program)
        except ParseError as error:
            task = error.context.name if error.context else None
            flags_by_task: dict[str, list[str]] = {}
            for context in program.collection.to_contexts():
                flags_by_task[context.name] = [*context.flags, *context.inverse_flags]
            message = explain_complaint(str(error), task, flags_by_task)
            raise ParseError(as_typed(message), error.context) from error

    return wrapped


def explain_complaint(message: str, task: str | None, flags_by_task: dict[str, list[str]]) -> str:
    """Return a complaint of invoke's in plain words, with the next thing to type.

    `task` is the one that invoke was reading, None in front of the first one.
    """
    unknown = _UNKNOWN.fullmatch(message)
    missing = _MISSING.fullmatch(message)
    no_value = _NO_VALUE.fullmatch(message)
    if unknown:
        problem = _explain_unknown(unknown["word"], task, flags_by_task)
    elif missing:
        # 'name', 'node' -> NAME, NODE: as the help of a task writes them
        names = missing["names"].replace("'", "").upper()
        problem = f"{missing['task']} needs {names}"
    elif no_value:
        # invoke names the parameter, not the option: `dry_run` for --dry-run
        option = no_value["name"].replace("_", "-")
        problem = f"--{option} needs a value"
    else:
        problem = message
    next_step = f"./invoke --help {task}" if task else "./invoke -l"
    return f"{problem}\n  next: {next_step}"


def _explain_unknown(word: str, task: str | None, flags_by_task: dict[str, list[str]]) -> str:
    # Where a task could stand, one was probably meant.
    known: Iterable[str] = flags_by_task
    if word.startswith("-"):
        problem = f"{task or './invoke'} has no option {word}"
        known = flags_by_task.get(task or "", ())
    elif task is None:
        problem = f"there is no task {word!r}"
    else:
        problem = f"{word!r} is one word too many for {task}, and is not a task either"
    meant = nearest(word, known)
    if not meant:
        return problem
    return f"{problem} (did you mean {meant}?)"
