"""Ground of the tasks' bodies: a session on this host, a lab that is loaded, and printing."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stacklab.paths import HostPaths
from stacklab.typed import as_typed

if TYPE_CHECKING:
    from rich.console import RenderableType

    from stacklab.model.lab import Lab
    from stacklab.paths import LabPaths
    from stacklab.workflow.context import Context


@contextmanager
def session(title: str = "") -> Iterator[Context]:
    """Hand out this host; with a title, progress is shown as suits the terminal."""
    from stacklab.process.runner import SubprocessRunner
    from stacklab.progress import Progress
    from stacklab.views import live
    from stacklab.workflow import events
    from stacklab.workflow.context import Context

    runner = SubprocessRunner()
    host = HostPaths.default()
    view = live.listener(title) if title else live.quiet()
    with view as shown, events.for_title(host, title, shown) as listener:
        context = Context(
            host=host,
            runner=runner,
            progress=Progress(listener),
            finish_snapshot=finish_snapshot,
        )
        try:
            yield context
        finally:
            runner.stop_all()
            context.close()


def finish_snapshot(context: Context, paths: LabPaths) -> None:
    """Finish what a killed command has left; few commands ever find something, or import this."""
    from stacklab.workflow.snapshots import recovery

    recovery.finish(context, paths)


def load(path: Path) -> Lab:
    """Return a resolved lab, checked against the catalogue."""
    from stacklab import spec
    from stacklab.images import catalogue

    return spec.load(path, known_images=catalogue.load())


def show(*renderables: RenderableType) -> None:
    """Print to stdout, for people."""
    from stacklab.views import tables

    for renderable in renderables:
        tables.console().print(tables.as_typed_here(renderable))


def show_json(data: object) -> None:
    """Print to stdout, for machines."""
    print(jsonlib.dumps(data, indent=2, default=str))


def print_lines(lines: Sequence[str], otherwise: str = "") -> None:
    """Print a line each, or what to say when there are none."""
    print(as_typed("\n".join(lines) or otherwise))
