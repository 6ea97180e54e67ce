"""All tasks: for ./invoke, for the program `stacklab`, and for a tasks.py of your own.

from stacklab.tasks import namespace
"""

from __future__ import annotations

from importlib import metadata

from invoke import Program

from stacklab.cli import (
    answers,
    check,
    cloud,
    debug,
    dev,
    image,
    lab,
    mirror,
    snapshot,
    source,
    stack,
    streams,
    trace,
)
from stacklab.cli.framework import glue, usage
from stacklab.cli.tab import completion
from stacklab.paths.project import IS_CHECKOUT

streams.prepare()
usage.give_next_steps()
_of_users = (
    lab,
    snapshot,
    stack,
    check,
    cloud,
    debug,
    trace,
    source,
    image,
    mirror,
    answers,
    completion,
)
# Tests and benchmarks need the checkout.
namespace = glue.collection(*_of_users, *((dev,) if IS_CHECKOUT else ()))


def main() -> None:
    """Run the tasks that were typed behind `stacklab`."""
    version = metadata.version("stacklab")
    Program(version=version, namespace=namespace, name="stacklab", binary="stacklab").run()
