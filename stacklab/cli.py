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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke import Argument, Collection, Exit, Task
from invoke.parser.parser import ParseMachine

from stacklab import errors, spec
from stacklab.paths import HostPaths

if TYPE_CHECKING:
    from stacklab.model.lab import Lab
    from stacklab.workflow.context import Context


HELP = {
    "name": "what it is about: a lab's name is that of its file in labs/, without .yaml",
    "json": "machine-readable, on stdout (lab.check: into this file)",
    "junit": "write the results to this file as JUnit XML",
    "node": "one node; if left out: the controller, or (exec, render) all",
    "layer of check": "only these layers: nodes, pairs, isolation, outside, impairments, custom, services, cloud",
    "node of check": "only what these nodes do, and what is done to them",
    "network": "only what happens on these networks",
    "wait": "try what fails again for so many seconds",
    "watch": "check again and again, and tell what changes (Ctrl-C ends it)",
    "expect": "what lab.fault has cut must be cut, and all else must work",
    "html": "write the results to this file as a page to look at",
    "ttl": "how long it may live until lab.reap takes it: 90s, 30m, 2h, 1d",
    "undo": "take a fault back: all of them, or the one named",
    "dry_run": "tell what would be done, and do nothing",
    "out": "write it there (answers.render: a directory, DIR/NODE/PATH, 0600)",
    "out of logs": "a directory, or a file that ends in .tar.gz; if left out: NAME-logs.tar.gz here",
    "rest of fault": "what fails: see above; if left out: the faults that there are are listed",
    "format": "svg, mermaid or dot",
    "release": "the release that hand-written files are for; if left out: what they say themselves, or the newest",
    "checks": "--no-checks returns when the nodes answer, without checking them",
    "force": "build it anew, with today's packages",
    "rest of validate": "spec files; if left out: all of labs/",
    "rest of answers_lint": "files, or names of labs",
    "rest of answers_releases": "installers: contrail, opensdn, devstack, packstack, kolla",
    "rest of exec_": "the command stands behind `--`",
    "follow": "keep printing what comes (Ctrl-C ends it)",
    "interactive": "a login on the serial line instead of what was printed so far",
}


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
        return [
            Rest(names=a.names, positional=True, help=a.help) if a.names[0] == "rest" else a
            for a in found
        ]


def lab_task(body: Callable[..., None]) -> Any:
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
            again = errors.Interrupted(
                "interrupted", hint=f"./invoke {_typed()} (it goes on from here)"
            )
            raise Exit(str(again), code=again.exit_code) from error
        except BrokenPipeError as error:
            sys.stdout = None  # nobody is left to flush to
            raise Exit(code=141) from error
        except OSError as error:
            if (told := errors.of_host(error)) is None:
                raise
            sys.stdout = (
                sys.stdout if error.filename else None
            )  # its disk may be full: it can't be flushed
            raise Exit(str(told), code=told.exit_code) from error

    names = inspect.signature(body).parameters
    words = {name: HELP.get(f"{name} of {body.__name__}", HELP.get(name)) for name in names}
    if "rest" in words:
        words["rest"] = words["rest"] or HELP["name"]
    return LabTask(
        wrapped,
        name=body.__name__.rstrip("_"),
        help={name: text for name, text in words.items() if text},
        auto_shortflags=False,
    )


def collection(
    names: Mapping[str, Any], *, groups: Sequence[str], others: str, top: Sequence[str]
) -> Collection:
    """Put a file's tasks where their names say: GROUP_NAME, or `others`; `top` stand alone, GROUP_all is a default."""
    made = {group: Collection() for group in (*groups, others)}
    root = Collection()
    for name, task in names.items():
        if not isinstance(task, LabTask):
            continue
        group, _, rest = name.rstrip("_").partition("_")
        if name in top:
            root.add_task(task, name=name)
        elif group in groups and rest:
            made[group].add_task(task, name=rest, default=rest == "all")
        else:
            made[others].add_task(task, name=name.rstrip("_"))
    for group, tasks in made.items():
        root.add_collection(tasks, name=group)
    return root


def command_line(typed: str, rest: Sequence[str]) -> list[str]:
    """The words behind `--`; raises LabError when there are none, or some before it, naming what to type.

    Not invoke's remainder: it has lost which words belong together.
    """
    words = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    if rest or not words:
        line = shlex.join([*rest, *words]) or "uptime"
        raise errors.LabError("no command given behind `--`", hint=f"{typed} -- {line}")
    return words


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
    from stacklab.workflow import events
    from stacklab.workflow.context import Context

    runner, host = SubprocessRunner(), HostPaths.default()
    with (
        live.listener(title) if title else live.quiet() as shown,
        events.for_title(host, title, shown) as listener,
    ):
        context = Context(host=host, runner=runner, progress=Progress(listener))
        try:
            yield context
        finally:
            runner.stop_all()
            context.close()


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
