"""Do what comes after `lab.up`: status, exec, console, down, destroy, rebuild."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol

from stacklab import record
from stacklab.errors import HostError, LabError, ProviderError, ToolError
from stacklab.model.lab import Lab
from stacklab.model.state import NodeState
from stacklab.paths import LabPaths
from stacklab.process import Command, Result
from stacklab.providers import registry
from stacklab.providers.contract import Console, lacking
from stacklab.record import LabRecord
from stacklab.tools import ssh
from stacklab.workflow.context import Context, last_resolved, not_up, read_own, running_lab
from stacklab.workflow.faults import faults
from stacklab.workflow.lab.up import Bringing, Outcome

_SHUTDOWN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LabStatus:
    """A lab as it is on this host now; `lab` is None while it was never resolved."""

    name: str
    checkout: str
    image: str
    states: Mapping[str, NodeState]
    lab: Lab | None
    directory: str
    expires_at: float | None = None  # None: never
    trouble: str = ""  # why no more is known of it: its files are damaged


def status(context: Context, name: str | None = None) -> tuple[LabStatus, ...]:
    """Return every lab on record, or the one of that name; starts nothing but the provider.

    Of all labs, one whose files are damaged hides none of the others.
    """
    if name:
        paths = context.host.lab(name)
        its_record = registry.read(paths)
        if its_record is None:
            raise not_up(context, name)
        return (_status(context, paths, its_record, last_resolved(paths)),)
    statuses = (_any_status(context, each) for each in record.names(context.host))
    return tuple(status for status in statuses if status is not None)


def _any_status(context: Context, name: str) -> LabStatus | None:
    """Return a lab's status, however damaged it is; None if it is gone."""
    paths = context.host.lab(name)
    try:
        its_record, lab = registry.read(paths), last_resolved(paths)
    except LabError as error:
        return LabStatus(
            name=name,
            checkout="",
            image="",
            states={},
            lab=None,
            directory=str(paths.root),
            trouble=error.message,
        )
    return _status(context, paths, its_record, lab) if its_record else None


def _status(context: Context, paths: LabPaths, its_record: LabRecord, lab: Lab | None) -> LabStatus:
    return LabStatus(
        name=paths.name,
        checkout=str(its_record.checkout),
        image=its_record.image,
        states=context.provider(its_record).status(its_record),
        lab=lab,
        directory=str(paths.root),
        expires_at=its_record.expires_at,
    )


class Shown(Protocol):
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
    show: Callable[[Sequence[str]], Shown],
) -> Mapping[str, Result | LabError]:
    """Run a command on these nodes (all, if none is named) at once; each has its result or error.

    What it writes is shown line by line and not kept: there is no limit of time or size.
    """
    lab, paths = running_lab(context, name)
    chosen = [lab_node(lab, node) for node in nodes] or [node.name for node in lab.nodes]
    shown = show(chosen)

    def one(node: str) -> Result | LabError:
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
        running = {node: pool.submit(one, node) for node in chosen}
        # The first that can't be shown any more (a closed pipe) ends it, not the slowest node.
        wait(running.values(), return_when=FIRST_EXCEPTION)
        for future in running.values():
            if future.done():
                future.result()
        return {node: future.result() for node, future in running.items()}
    finally:
        # No `with`: on Ctrl-C it would wait for the commands, which our caller ends.
        pool.shutdown(wait=False, cancel_futures=True)


def login(context: Context, name: str, node: str) -> int:
    """Log in on a node (the controller, if none is named); returns the shell's exit code."""
    lab, paths = running_lab(context, name)
    chosen = _one_node(lab, node)
    return context.runner.run(ssh.login_command(paths, chosen)).exit_code


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
    its_record = registry.read(paths)
    if its_record is None:
        raise not_up(context, name)
    provider = context.provider(its_record)
    if not isinstance(provider, Console):
        raise lacking(provider, name, "serial console", hint=f"./invoke lab.ssh {name}")
    if interactive:
        argv = provider.console_argv(its_record, chosen)
    elif follow:
        argv = ("tail", "-f", "-n", "50", str(provider.console_log(paths, chosen)))
    else:
        argv = ("tail", "-n", "+1", str(provider.console_log(paths, chosen)))
    what = f"showing {chosen}'s console"
    command = Command(argv=argv, what=what, ok_codes=tuple(range(256)))
    if show is not None and not interactive:
        return context.runner.stream(command, out=show, err=show).exit_code
    return context.runner.run(dataclasses.replace(command, interactive=True)).exit_code


def as_dict(found: LabStatus) -> Mapping[str, object]:
    """Return a lab's status, ready for JSON."""
    return {
        "name": found.name,
        "checkout": found.checkout,
        "directory": found.directory,
        "image": found.image,
        "expires_at": found.expires_at,
        "trouble": found.trouble,
        "nodes": [
            {
                "name": node,
                "state": str(state),
                "addresses": {nic.network: str(nic.address.ip) for nic in found.lab.node(node).nics}
                if found.lab
                else {},
            }
            for node, state in found.states.items()
        ],
    }


def exit_code(results: Mapping[str, Result | LabError]) -> int:
    """Return the highest exit code of several nodes; an error of ours has one, too."""
    return max(each.exit_code for each in results.values())


def lab_node(lab: Lab, name: str) -> str:
    """Return the name if the lab has such a node; raises LabError listing those it has."""
    if name not in {node.name for node in lab.nodes}:
        known = ", ".join(node.name for node in lab.nodes)
        raise LabError(
            f"lab {lab.name} has no node {name!r} (it has: {known})",
            hint=f"./invoke lab.status {lab.name}",
        )
    return name


def _one_node(lab: Lab, name: str) -> str:
    """Return the node of that name; the controller, if none is named."""
    return lab_node(lab, name) if name else lab.controller.name


def down(context: Context, name: str) -> None:
    """Shut all nodes down; disks, networks and addresses stay."""
    with context.lab_lock(name) as paths:
        its_record = read_own(paths)
        if its_record is None:
            raise not_up(context, name)
        _close_connections(context, paths, its_record)
        with context.progress.stage("host", "shutdown"):
            nodes = [node.name for node in its_record.nodes]
            context.provider(its_record).down(its_record, nodes, patience_s=_SHUTDOWN_S)
            faults.forget(context, paths, its_record)


def destroy(
    context: Context, name: str, *, read: Callable[[LabPaths], LabRecord | None] = read_own
) -> bool:
    """Remove all that is recorded as this lab's, and nothing else; False if there was nothing.

    `read` returns the record, or raises what keeps the lab from being destroyed.
    """
    with context.lab_lock(name) as paths:
        its_record = read(paths)
        was_there = _remove(context, paths, its_record)
        if was_there:
            with context.progress.stage("host", "files"):
                _remove_directory(paths)
            provider = context.provider(its_record)
            if _is_last_of(context, provider.name):
                provider.close_down()
        return was_there


def _is_last_of(context: Context, provider: str) -> bool:
    """Return whether no lab of that provider is left on this host, as far as records tell."""
    for name in record.names(context.host):
        try:
            other = record.read(context.host.lab(name))
        except LabError:
            return False  # damaged: nobody knows whose it is
        if other is not None and other.provider == provider:
            return False
    return True


def _remove_directory(paths: LabPaths) -> None:
    try:
        shutil.rmtree(paths.root)
    except OSError as error:
        raise HostError(
            f"{paths.root} can't be removed: {error}", hint=f"rm -r {paths.root}"
        ) from error


def rebuild(context: Context, lab: Lab, *, checks: bool = True) -> Outcome:
    """Make the lab again from its spec of today; its passwords and keys stay."""
    with context.lab_lock(lab.name) as paths:
        bringing = Bringing(context, lab, paths)
        # Before the old nodes go: what can't come back had better stay.
        before = read_own(paths)
        choice = bringing.prepare(before, anew=True)
        _remove(context, paths, before)
        paths.record.unlink(missing_ok=True)
        paths.resolved.unlink(missing_ok=True)
        return bringing.bring(None, choice, checks=checks)


def _remove(context: Context, paths: LabPaths, its_record: LabRecord | None) -> bool:
    """Remove everything outside the lab's directory; the caller removes the record."""
    if its_record is None:
        return paths.root.exists()
    _close_connections(context, paths, its_record)
    with context.progress.stage("host", "destroy"):
        context.provider(its_record).destroy(paths, its_record)
        faults.forget(context, paths, its_record)
    disks = [
        disk
        for node in its_record.nodes
        for disk in (paths.overlay(node.name), paths.seed(node.name))
    ]
    left = [str(disk) for disk in disks if disk.exists()]
    if left:
        raise ProviderError(
            f"left behind: {', '.join(left)}", hint=f"./invoke lab.destroy {paths.name} again"
        )
    return True


def _close_connections(context: Context, paths: LabPaths, its_record: LabRecord) -> None:
    """End the shared ssh connections: their processes would outlive the nodes by ten minutes."""
    if not paths.ssh_config.exists():
        return
    for node in its_record.nodes:
        if (paths.sockets / node.name).exists():
            with contextlib.suppress(ToolError):  # one that hangs must not keep the nodes alive
                context.runner.run(ssh.close_command(paths, node.name))
