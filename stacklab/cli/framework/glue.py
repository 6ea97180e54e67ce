"""Ground of all tasks: help and completion of parameters, errors as text, a session, printing.

A task imports what it uses inside its body: all tasks are read at every start and every TAB.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import shlex
import signal
import stat
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, StrEnum
from types import ModuleType
from typing import Annotated, Any

from invoke import Argument, Collection, Exit, Task
from invoke.parser.parser import ParseMachine

from stacklab import errors
from stacklab.cli import streams
from stacklab.cli.framework import lab_words
from stacklab.typed import as_typed, task_words

# python-vagrant complains at its import that there is no vagrant; preflight says it better.
logging.getLogger("vagrant").addHandler(logging.NullHandler())


class Completes(StrEnum):
    """Kinds of names that a parameter may stand for, so that TAB can complete it."""

    LAB = "lab"  # has a file in labs/
    LAB_THAT_IS_UP = "lab that is up"  # has a record on this host
    NODE = "node"
    NIC = "NIC"
    NETWORK = "network"
    LAYER = "layer"
    IMAGE = "image"
    FAULT = "fault"
    INSTALLER = "installer"
    FORMAT = "format"
    SHELL = "shell"
    KIND = "kind of nodes"
    STAGE = "stage"
    SNAPSHOT = "snapshot"


class Becomes(Enum):
    """What is made of a parameter before its task sees it."""

    NAME = "a lab's name, of the path of its file"


# A parameter's annotation says its help, what completes it, and what it becomes.
_LAB_HELP = "lab name (NAME for labs/NAME.yaml), or the path of its file"
LabName = Annotated[str, _LAB_HELP, Completes.LAB]  # its task wants the file
NameOfLab = Annotated[str, _LAB_HELP, Completes.LAB, Becomes.NAME]
NameOfLabThatIsUp = Annotated[str, _LAB_HELP, Completes.LAB_THAT_IS_UP, Becomes.NAME]
NodeName = Annotated[str, "node name; if left out: the controller", Completes.NODE]
AsJson = Annotated[bool, "print JSON instead of a table"]
Words = list[str] | None


class Rest(Argument):
    """All further words of a task; they may be left out, which invoke's own positionals may not.

    It looks as if it were still missing until the parser has read the whole task.
    """

    is_complete = False
    _value: list[str] | None

    @property
    def value(self) -> Any:
        """Return None while more words can come, then all words."""
        return list(self._value or []) if self.is_complete else None

    @value.setter
    def value(self, word: str) -> None:
        self._value = [*(self._value or []), word]


def _complete_context(machine: Any, original: Any = ParseMachine.complete_context) -> None:
    arguments = machine.context.args.values() if machine.context else ()
    for argument in arguments:
        if isinstance(argument, Rest):
            argument.is_complete = True
    original(machine)


# invoke has no hook for the end of a task's words, at which a Rest shows its value.
ParseMachine.complete_context = _complete_context


class LabTask(Task):
    """A task whose parameter `rest` takes all further words, and whose parameters complete."""

    full_name: str  # as it is typed: lab.up
    words: dict[str, Completes]  # what completes a parameter, by its name
    help: dict[str, str]

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Any]:
        """See invoke.Task.get_arguments."""
        help_texts = dict(self.help)
        arguments: list[Any] = super().get_arguments(ignore_unknown_help)
        # invoke takes out what it has used, and would have none the next time.
        self.help = help_texts
        for position, argument in enumerate(arguments):
            if argument.names[0] == "rest":
                rest = Rest(names=argument.names, positional=True, help=argument.help)
                arguments[position] = rest
        return arguments


def task(
    full_name: str, *, is_default: bool = False, resumes: bool = False
) -> Callable[[Callable[..., None]], LabTask]:
    """Make a task of a function: its expected errors become text and an exit code.

    With `resumes` it goes on, once it was interrupted and is typed again, from where it was.

    Bugs keep their traceback. The help of a parameter is the first text in its `Annotated`
    annotation; a Completes there says what completes it.
    """

    def decorate(body: Callable[..., None]) -> LabTask:
        help_texts: dict[str, str] = {}
        words: dict[str, Completes] = {}
        named: list[str] = []  # parameters that become labs' names
        annotations = typing.get_type_hints(body, include_extras=True)
        for name, annotation in annotations.items():
            if typing.get_origin(annotation) is not Annotated:
                continue
            text, *marks = annotation.__metadata__
            help_texts[name] = as_typed(text)
            for mark in marks:
                if isinstance(mark, Completes):
                    words[name] = mark
                elif mark is Becomes.NAME:
                    named.append(name)
        lab_task = LabTask(
            _with_exit_codes(_with_names(body, named), resumes=resumes),
            name=full_name.rpartition(".")[2],
            help=help_texts,
            iterable=_repeated(annotations),
            auto_shortflags=False,
            default=is_default,
        )
        lab_task.__doc__ = as_typed(body.__doc__ or "")
        lab_task.full_name = full_name
        lab_task.words = words
        return lab_task

    return decorate


def _repeated(annotations: Mapping[str, Any]) -> list[str]:
    """Return the options that may be given several times, each time with one word."""
    return [
        name
        for name, annotation in annotations.items()
        if name != "rest"
        and typing.get_origin(annotation) is Annotated
        and typing.get_args(annotation)[0] == Words
    ]


def _with_names(body: Callable[..., None], named: Sequence[str]) -> Callable[..., None]:
    """Return the function with these parameters, words or lists of them, made names of labs."""

    @functools.wraps(body)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        call = signature.bind(*args, **kwargs)
        for name in named:
            typed = call.arguments.get(name)
            if isinstance(typed, str):
                call.arguments[name] = lab_words.lab_name(typed)
            elif typed:
                call.arguments[name] = [lab_words.lab_name(word) for word in typed]
        body(*call.args, **call.kwargs)

    signature = inspect.signature(body)
    return wrapped if named else body


def _with_exit_codes(body: Callable[..., None], *, resumes: bool) -> Callable[..., None]:
    """Return the function with its expected errors raised as invoke's Exit."""

    @functools.wraps(body)
    def wrapped(*args: object, **kwargs: object) -> None:
        # Under umask 000, which containers have, every user could write to what is made here, also
        # by the programs that we start.
        os.umask(os.umask(0o077) | stat.S_IWOTH)
        # A kill or a closed terminal is cleaned up after like Ctrl-C.
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        try:
            with streams.written_out():
                body(*args, **kwargs)
        except errors.LabError as error:
            raise Exit(as_typed(str(error)), code=error.exit_code) from error
        except KeyboardInterrupt as error:
            then = "it goes on from here" if resumes else "it begins anew"
            hint = f"./invoke {task_words()} ({then})"
            interrupted = errors.Interrupted("interrupted", hint=hint)
            raise Exit(as_typed(str(interrupted)), code=interrupted.exit_code) from error
        except OSError as error:
            refusal = errors.of_host(error)
            if refusal is None:
                raise
            raise Exit(as_typed(str(refusal)), code=refusal.exit_code) from error

    return wrapped


def collection(*modules: ModuleType) -> Collection:
    """Return all tasks of these modules, each in the group that its full name says."""
    root = Collection()
    groups: dict[str, Collection] = {}
    for module in modules:
        for member in vars(module).values():
            if not isinstance(member, LabTask):
                continue
            group = member.full_name.rpartition(".")[0]
            tasks = groups.setdefault(group, Collection()) if group else root
            tasks.add_task(member)
    for group, tasks in groups.items():
        root.add_collection(tasks, name=group)
    return root


def words_behind_dashes() -> list[str]:
    """Return the words behind `--`; none where it was not typed."""
    return sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []


def command_line(typed: str, rest: Sequence[str], example: str = "uptime") -> list[str]:
    """Return the words behind `--`.

    Raises LabError, naming what to type, when there are none, or some before it. invoke's own
    remainder won't do: it no longer says which words belong together.
    """
    words = words_behind_dashes()
    if words and not rest:
        return words
    line = shlex.join([*rest, *words]) or example
    raise errors.LabError("no command given behind `--`", hint=f"{typed} -- {line}")
