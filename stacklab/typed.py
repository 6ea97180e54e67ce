"""What a user types to run our tasks: in the checkout ./invoke, elsewhere another program.

All that is written for people says `./invoke`, and goes through `as_typed` before it is shown.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from stacklab.paths.project import IS_CHECKOUT

IN_CHECKOUT = "./invoke"
# invoke's own options that say whose tasks are meant; each has a value.
_WHOSE_TASKS = ("-c", "--collection", "-r", "--search-root")

_RUN_NO_TASKS = ("pytest", "py.test")  # with --lab


def as_typed(text: str) -> str:
    """Return a text whose commands are as they are typed here."""
    if IS_CHECKOUT or IN_CHECKOUT not in text:
        return text
    return text.replace(IN_CHECKOUT, program())


def program() -> str:
    """Return what is typed in front of a task: `stacklab`, `inv -c mine`, `./invoke`."""
    if IS_CHECKOUT:
        return IN_CHECKOUT
    path = Path(sys.argv[0])
    # python -m invoke
    name = path.parent.name if path.name == "__main__.py" else path.name
    if name in _RUN_NO_TASKS:
        return "stacklab"
    return shlex.join([name, *_split_words(sys.argv[1:])[0]])


def task_words() -> str:
    """Return what was typed behind the program: the task, and all that follows it."""
    return shlex.join(_split_words(sys.argv[1:])[1])


def _split_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the options that say whose tasks are meant, and all other words."""
    whose: list[str] = []
    others: list[str] = []
    rest = list(words)
    # Behind a task, -c may be an option of that task.
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        if word in _WHOSE_TASKS:
            whose += [word, *rest[:1]]
            rest = rest[1:]
        elif word.startswith("--") and word.partition("=")[0] in _WHOSE_TASKS:
            whose.append(word)
        else:
            others.append(word)
    return whose, others + rest
