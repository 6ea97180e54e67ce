"""`debug.attach`, `debug.detach` and `debug.status`.

What is true is on the nodes: a drop-in below /run for each unit, which a reboot takes away. This
host keeps only tunnels, which end with their nodes, and what IDEs read. So a command that was
killed anywhere leaves nothing that the next one would not find.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stacklab import files, locks
from stacklab.errors import LabError
from stacklab.model.lab import Lab
from stacklab.paths import LabPaths
from stacklab.stages.stage import MINUTE_S
from stacklab.tools import ssh_tunnel
from stacklab.tools.host import listening
from stacklab.workflow.context import Context, running_lab
from stacklab.workflow.debug import ide, node_program, patience, places
from stacklab.workflow.debug.code import find_package
from stacklab.workflow.debug.debuggers import DEBUGPY, PYCHARM, DebuggerKind, files_of
from stacklab.workflow.debug.service import DebugProcess, DebugService, restart_limit_s
from stacklab.workflow.debug.services import list_services, pick, read_port, read_processes

IDE_PORT = 5678  # where PyDev's debug server listens, unless told otherwise
_WAIT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedService:
    """A service that can be debugged: its processes, by their port of this host."""

    service: DebugService
    debugger: DebuggerKind
    ports: tuple[tuple[int, DebugProcess], ...]
    folder: Path  # to be opened by an IDE
    calmed: tuple[DebugService, ...]  # restarted too, so that they wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A service, and the ports of this host that lead to its processes."""

    service: DebugService
    ports: tuple[int, ...]


def attach(
    context: Context,
    name: str,
    service_name: str,
    *,
    node: str = "",
    is_patient: bool = True,
    debugger: DebuggerKind = DEBUGPY,
    ide_port: int = IDE_PORT,
    egg: Path | None = None,
) -> AttachedService:
    """Restart a service under a debugger, with tunnels between its processes and this host.

    debugpy listens, and an IDE attaches; the others call the debug server that an IDE has at
    `ide_port` of this host. Services that would not wait for it are restarted as well, with more
    patience. Raises LabError for an unknown service, for one that does not start, and where no
    debug server listens.
    """
    if egg is not None and debugger != PYCHARM:
        raise LabError("--egg is PyCharm's", hint="--with pycharm")
    lab, paths = running_lab(context, name)
    with _held(paths):
        services = list_services(context, lab, paths)
        service = pick(lab, services, service_name, node)
        package = find_package(context, paths, service)
        folder = ide.write(paths, service, debugger, package, ide_port)
        if debugger.is_called and not listening.listens(ide_port):
            raise LabError(
                f"no debug server listens at 127.0.0.1:{ide_port}",
                hint=f"open {folder} in {debugger.ide} and start its debug server; or --port PORT",
            )
        files = files_of(context.runner, context.progress, debugger, egg)
        node_program.place_hook(context, paths, service.node, debugger, files)
        calmed: list[DebugService] = []
        if is_patient:
            # One that is debugged waits as it is.
            callers = patience.callers_of(service, services)
            calmed = [each for each in callers if not each.is_calmed and not each.is_hooked]
            _calm(context, lab, paths, calmed)
        # One that leads from the node has the port that a debugger there would take.
        ssh_tunnel.end(places.tunnel_log(paths, service.node, service.name))
        if debugger.is_called:
            _tunnel_from_node(context, paths, service, ide_port)
            variables = ide.variables(debugger, folder, package)
            processes = _attach(context, lab, paths, service, debugger, variables)
            ports = tuple((ide_port, process) for process in processes)
        else:
            processes = _attach(context, lab, paths, service, debugger)
            ports = _tunnel(context, paths, service, processes)
            ide.write_ports(folder, service, ports, package)
    return AttachedService(
        service=service, debugger=debugger, ports=ports, folder=folder, calmed=tuple(calmed)
    )


def detach(
    context: Context, name: str, service_names: Sequence[str] = (), *, node: str = ""
) -> tuple[DebugService, ...]:
    """Restart services, or all, without the debugger; returns those that had one.

    What was restarted to wait is put back with the last service that is debugged.
    """
    lab, paths = running_lab(context, name)
    with _held(paths):
        services = list_services(context, lab, paths)
        hooked = [each for each in services if each.is_hooked]
        wanted = [each for each in services if node in ("", each.node)]
        if service_names:
            wanted = [pick(lab, services, word, node) for word in service_names]
        ended = [each for each in hooked if each in wanted]
        left = [each for each in hooked if each not in ended]
        needed = {caller for each in left for caller in patience.callers_of(each, services)}
        calmed = [each for each in services if each.is_calmed and each not in needed]
        # An attach that was cut off may have left one without a debugger.
        for each in wanted:
            ssh_tunnel.end(places.tunnel_log(paths, each.node, each.name))
        for node_name, units in _units_by_node([*ended, *calmed]):
            limit_s = restart_limit_s(lab, node_name)
            with context.progress.stage(node_name, "restart without a debugger"):
                words = ("detach", *units, "--limit", f"{limit_s:g}")
                _run(context, paths, node_name, words, limit_s)
    return tuple(ended)


def status(context: Context, name: str) -> tuple[Listed, ...]:
    """Return all services of a lab that can be debugged."""
    lab, paths = running_lab(context, name)
    listed = []
    for service in list_services(context, lab, paths):
        ports = ssh_tunnel.ports(places.tunnel_log(paths, service.node, service.name))
        listed.append(Listed(service=service, ports=tuple(sorted(ports))))
    return tuple(listed)


@contextmanager
def _held(paths: LabPaths) -> Iterator[None]:
    files.make_directory(places.root(paths), mode=0o700)
    with locks.held(places.root(paths) / "lock", f"debug.* of {paths.name}", wait_s=_WAIT_S):
        yield


def _attach(
    context: Context,
    lab: Lab,
    paths: LabPaths,
    service: DebugService,
    debugger: DebuggerKind,
    variables: Sequence[str] = (),
) -> tuple[DebugProcess, ...]:
    limit_s = restart_limit_s(lab, service.node)
    words = (
        "attach",
        service.unit,
        "--with",
        debugger.name,
        "--limit",
        f"{limit_s:g}",
        *_set([*patience.DEBUGGED, *variables]),
    )
    with context.progress.stage(service.node, f"restart {service.name}, to be debugged"):
        lines = _run(context, paths, service.node, words, limit_s)
    processes = read_processes(lines[-1].get("processes") if lines else None)
    if not processes:
        raise LabError(
            f"{service.node}: no process of {service.name} is under the debugger",
            hint=f"./invoke debug.status {lab.name}",
        )
    return processes


def _calm(context: Context, lab: Lab, paths: LabPaths, callers: Sequence[DebugService]) -> None:
    for node, units in _units_by_node(callers):
        limit_s = restart_limit_s(lab, node)
        with context.progress.stage(node, "restart its callers, to be patient"):
            words = (
                "give",
                *units,
                "--for",
                "patience",
                "--limit",
                f"{limit_s:g}",
                *_set(patience.CALLERS),
            )
            _run(context, paths, node, words, limit_s)


def _run(
    context: Context, paths: LabPaths, node: str, words: tuple[str, ...], limit_s: float
) -> Sequence[Mapping[str, Any]]:
    # It keeps its own limit first, and says why.
    return node_program.run(context, paths, node, words, limit_s=limit_s + MINUTE_S)


def _set(variables: Sequence[str]) -> list[str]:
    return [word for variable in variables for word in ("--set", variable)]


def _tunnel(
    context: Context, paths: LabPaths, service: DebugService, processes: Sequence[DebugProcess]
) -> tuple[tuple[int, DebugProcess], ...]:
    log = places.tunnel_log(paths, service.node, service.name)
    found = tuple((ssh_tunnel.choose_port(process.port), process) for process in processes)
    there = {port: process.port for port, process in found}
    ssh_tunnel.start(context.runner, paths, service.node, log, there)
    return found


def _tunnel_from_node(
    context: Context, paths: LabPaths, service: DebugService, ide_port: int
) -> None:
    """Have the port that the service will call lead to the debug server."""
    log = places.tunnel_log(paths, service.node, service.name)
    words = ("port", service.unit)
    lines = node_program.run(context, paths, service.node, words, limit_s=MINUTE_S)
    called = read_port(lines[-1].get("port") if lines else None)
    if called is None:
        raise LabError(f"{service.node} has not said which port {service.name} will call")
    ssh_tunnel.start_from_node(
        context.runner, paths, service.node, log, here=ide_port, there=called
    )


def _units_by_node(services: Iterable[DebugService]) -> Iterator[tuple[str, list[str]]]:
    units: dict[str, list[str]] = {}
    for service in services:
        units.setdefault(service.node, []).append(service.unit)
    yield from units.items()
