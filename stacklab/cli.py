"""What all tasks share: optional positionals, errors as text and an exit code, a session, printing.

Imported by tasks.py alone.
"""

from __future__ import annotations

import functools
import inspect
import json as jsonlib
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke import Argument, Exit, Task
from invoke.parser.parser import ParseMachine

from stacklab import errors, spec
from stacklab.paths import HostPaths

if TYPE_CHECKING:
    from stacklab.model import Lab
    from stacklab.workflow.context import Context


class Rest(Argument):
    """What may be given without a flag, or left out: invoke itself knows no optional positionals.

    It says "still missing" until the parser is through with the task.
    """

    is_complete = False
    _value: list[str] | None

    @property
    def value(self) -> Any:
        """None while more can come, then all that came."""
        return list(self._value or []) if self.is_complete else None

    @value.setter
    def value(self, word: str) -> None:
        self._value = [*(self._value or []), word]


def _complete_context(machine: Any, original: Any = ParseMachine.complete_context) -> None:
    for argument in machine.context.args.values() if machine.context else ():
        if isinstance(argument, Rest):
            argument.is_complete = True
    original(machine)


ParseMachine.complete_context = _complete_context


class LabTask(Task):
    """A task whose parameter `rest` takes all further words."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Any]:
        """See invoke.Task.get_arguments."""
        found = super().get_arguments(ignore_unknown_help)
        return [Rest(names=a.names, positional=True, help=a.help) if a.names[0] == "rest" else a for a in found]


def lab_task(words: Mapping[str, str]) -> Callable[[Callable[..., None]], Any]:
    """Make the decorator of tasks; `words` is the help for each parameter's name."""
    return functools.partial(_lab_task, words)


def _lab_task(words: Mapping[str, str], body: Callable[..., None]) -> Any:
    """Make a task whose expected errors are text and an exit code; bugs keep their traceback."""

    @functools.wraps(body)
    def wrapped(*args: object, **kwargs: object) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)  # tidied up after like Ctrl-C
        try:
            body(*args, **kwargs)
            sys.stdout.flush()
        except errors.LabError as error:
            raise Exit(str(error), code=error.exit_code) from error
        except KeyboardInterrupt as error:
            again = errors.Interrupted("interrupted", hint=f"./invoke {_typed()} (it goes on from here)")
            raise Exit(str(again), code=again.exit_code) from error
        except BrokenPipeError as error:
            sys.stdout = None  # nobody is left to flush to
            raise Exit(code=141) from error
        except OSError as error:
            if (told := errors.of_host(error)) is None:
                raise
            sys.stdout = sys.stdout if error.filename else None  # its disk may be full: it can't be flushed
            raise Exit(str(told), code=told.exit_code) from error

    known = {**words, "rest": words.get(f"rest of {body.__name__}", words["name"])}
    parameters = inspect.signature(body).parameters
    return LabTask(
        wrapped,
        name=body.__name__.rstrip("_"),
        help={name: text for name, text in known.items() if name in parameters},
        auto_shortflags=False,
    )


def _typed() -> str:
    """What the user typed behind ./invoke, which puts the project in front of it."""
    words = sys.argv[3:] if sys.argv[1:2] == ["--search-root"] else sys.argv[1:]
    return shlex.join(words)


@contextmanager
def session(title: str = "") -> Iterator[Context]:
    """This host; with a title, progress is shown as suits the terminal."""
    from stacklab.process import SubprocessRunner
    from stacklab.progress import Progress
    from stacklab.views import live
    from stacklab.workflow.context import Context

    runner = SubprocessRunner()
    with live.listener(title) if title else live.quiet() as listener:
        try:
            yield Context(host=HostPaths.default(), runner=runner, progress=Progress(listener))
        finally:
            runner.stop_all()


def load(path: Path) -> Lab:
    """A resolved lab, checked against the catalogue and this host."""
    from stacklab.doctor import Machine, host_memory
    from stacklab.images import catalogue

    return spec.load(path, known_images=catalogue.load(), host_memory=host_memory(Machine()))


def show(*renderables: object) -> None:
    """Print to stdout."""
    from stacklab.views import tables

    for each in renderables:
        tables.console().print(each)


def show_json(data: object) -> None:
    """Print to stdout, for machines."""
    print(jsonlib.dumps(data, indent=2, default=str))
