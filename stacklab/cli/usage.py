"""invoke's own complaints about a command line, with what to type next.

invoke says "No idea what '--tll' is!" and ends with 1. The exit code stays; the words here say
which task it is about, what was probably meant, and how to get help.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

from invoke.exceptions import ParseError
from invoke.program import Program

from stacklab.words import nearest

# The messages of invoke's parser, each with what is taken out of it.
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
            step(program)
        except ParseError as error:
            task = error.context.name if error.context else None
            tasks = program.collection.to_contexts()
            flags = {context.name: [*context.flags, *context.inverse_flags] for context in tasks}
            raise ParseError(explain(str(error), task, flags), error.context) from error

    return wrapped


def explain(message: str, task: str | None, flags_by_task: dict[str, list[str]]) -> str:
    """Return a complaint of invoke's in plain words, with the next thing to type.

    `task` is the one that invoke was reading, None in front of the first one.
    """
    unknown = _UNKNOWN.fullmatch(message)
    missing = _MISSING.fullmatch(message)
    no_value = _NO_VALUE.fullmatch(message)
    if unknown:
        problem = _explain_unknown(unknown["word"], task, flags_by_task)
    elif missing:
        problem = f"{missing['task']} needs {missing['names'].replace(chr(39), '').upper()}"
    elif no_value:
        problem = f"--{no_value['name'].replace('_', '-')} needs a value"
    else:
        problem = message
    next_step = f"./invoke --help {task}" if task else "./invoke -l"
    return f"{problem}\n  next: {next_step}"


def _explain_unknown(word: str, task: str | None, flags_by_task: dict[str, list[str]]) -> str:
    if word.startswith("-"):
        problem = f"{task or './invoke'} has no option {word}"
        meant = nearest(word, flags_by_task.get(task or "", ()))
    elif task is None:
        problem = f"there is no task {word!r}"
        meant = nearest(word, flags_by_task)
    else:
        problem = f"{word!r} is one word too many for {task}, and is not a task either"
        meant = nearest(word, flags_by_task)
    return f"{problem} (did you mean {meant}?)" if meant else problem
