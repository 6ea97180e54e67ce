"""`lab.ssh`, `lab.exec`, `lab.console`: enter nodes of a lab that is up."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Protocol

from stacklab.errors import LabError
from stacklab.model.lab import Lab
from stacklab.process.command import Command, Result
from stacklab.providers import registry
from stacklab.providers.contract import Console, lacking
from stacklab.tools import ssh
from stacklab.workflow.context import Context, not_up, running_lab
from stacklab.workflow.node_names import node_named


class OutputOfNodes(Protocol):
    """Shows what a command on several nodes writes, as it comes; called from several threads."""

    def out(self, node: str, line: bytes) -> None:
        """Show a line of stdout."""
        ...

    def err(self, node: str, line: bytes) -> None:
        """Show a line of stderr."""
        ...

    def ended(self, node: str, result: Result | LabError) -> None:
        """Tell how the command ended on a node."""
        ...


def execute(
    context: Context,
    name: str,
    argv: Sequence[str],
    nodes: Sequence[str],
    show: Callable[[Sequence[str]], OutputOfNodes],
) -> Mapping[str, Result | LabError]:
    """Run a command on these nodes (all, if none is named) at once; each has its result or error.

    Its output is shown line by line and never kept, so neither time nor size is limited.
    """
    lab, paths = running_lab(context, name)
    # All names are looked at before anything runs.
    chosen = [_one_node(lab, node) for node in nodes] or [node.name for node in lab.nodes]
    shown = show(chosen)

    def run_on(node: str) -> Result | LabError:
        result: Result | LabError
        try:
            result = context.runner.stream(
                ssh.exec_command(paths, node, argv),
                out=lambda line: shown.out(node, line),
                err=lambda line: shown.err(node, line),
            )
        except LabError as error:
            result = error
        shown.ended(node, result)
        return result

    pool = ThreadPoolExecutor(max_workers=len(chosen))
    try:
        running = {node: pool.submit(run_on, node) for node in chosen}
        # The first that can't be shown any more (a closed pipe) ends it, not the slowest node.
        wait(running.values(), return_when=FIRST_EXCEPTION)
        for future in running.values():
            if future.done():
                future.result()
        return {node: future.result() for node, future in running.items()}
    finally:
        # `with` would wait for the commands on Ctrl-C; it is our caller who ends them.
        pool.shutdown(wait=False, cancel_futures=True)


def login(context: Context, name: str, node: str, argv: Sequence[str] = ()) -> int:
    """Log in on a node (the controller, if none is named), or run a command in its place there.

    Returns the exit code of the shell or the command.
    """
    lab, paths = running_lab(context, name)
    chosen = _one_node(lab, node)
    return context.runner.run(ssh.login_command(paths, chosen, argv)).exit_code


def console(
    context: Context,
    name: str,
    node: str,
    *,
    follow: bool,
    interactive: bool,
    show: Callable[[bytes], None] | None = None,
) -> int:
    """Show a node's serial console as printed so far, as it goes on, or as a terminal to log in on.

    `show` takes each line of what was printed; without it the lines go to our stdout as they are.
    """
    lab, paths = running_lab(context, name)
    chosen = _one_node(lab, node)
    lab_record = registry.read(paths)
    if lab_record is None:
        raise not_up(context, name)
    provider = context.provider(lab_record)
    if not isinstance(provider, Console):
        raise lacking(provider, name, "a serial console", hint=f"./invoke lab.ssh {name}")
    if interactive:
        unreachable = provider.why_unreachable()
        if unreachable is not None:
            raise unreachable.error()
        argv = provider.console_argv(lab_record, chosen)
    elif follow:
        argv = ("tail", "-f", "-n", "50", str(provider.console_log(paths, chosen)))
    else:
        argv = ("tail", "-n", "+1", str(provider.console_log(paths, chosen)))
    # Any exit code is right: Ctrl-C ends it, and a log that does not exist yet is not an error.
    any_code = tuple(range(256))
    command = Command(argv=argv, what=f"showing {chosen}'s console", ok_codes=any_code)
    if show is not None and not interactive:
        return context.runner.stream(command, out=show, err=show).exit_code
    return context.runner.run(dataclasses.replace(command, interactive=True)).exit_code


def exit_code(results: Mapping[str, Result | LabError]) -> int:
    """Return the highest exit code of several nodes; an error of ours has one, too."""
    return max(result.exit_code for result in results.values())


def _one_node(lab: Lab, name: str) -> str:
    """Return the node of that name; the controller, if none is named."""
    if not name:
        return lab.controller.name
    return node_named(lab, name, hint=f"./invoke lab.status {lab.name}").name
