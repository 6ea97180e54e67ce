"""`debug.break`: a breakpoint without an IDE. Wait for a request, look, and let it go on."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from stacklab.errors import CheckFailed, LabError
from stacklab.foreign import printable
from stacklab.model.lab import Lab
from stacklab.paths import LabPaths
from stacklab.tools import ssh_tunnel
from stacklab.tools.dap import DapError, Debugger, Stop
from stacklab.workflow.context import Context, running_lab
from stacklab.workflow.debug import attaching, code, places
from stacklab.workflow.debug.debuggers import DEBUGPY
from stacklab.workflow.debug.service import DebugService
from stacklab.workflow.debug.services import list_services, pick

_PLACE = re.compile(r"(?P<file>[^\s:]{1,300}\.py):(?P<line>\d{1,6})", re.ASCII)
_REQUEST_S = 300.0  # until what has made the request is done
_TURN_S = 0.2  # of each process, before the next one is asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A breakpoint that was hit; all words of the node's are printable."""

    service: DebugService
    path: str
    line: int
    elapsed_s: float
    stop: Stop


def wait_for_hit(
    context: Context,
    name: str,
    service_name: str,
    place: str,
    *,
    node: str = "",
    expressions: Sequence[str] = (),
    limit_s: float,
    meanwhile: Callable[[], object] | None = None,
) -> Hit:
    """Set a breakpoint, wait until a request hits it, look, and let the service go on.

    `place` is FILE:LINE. `meanwhile` is called once the breakpoint is there: what makes the
    request. The service is made debuggable first, if it is not. Raises LabError for a place or a
    service that does not exist, CheckFailed if nothing has hit it in time.
    """
    file, line = _read_place(place)
    lab, paths = running_lab(context, name)
    service = pick(lab, list_services(context, lab, paths), service_name, node)
    if service.debugger not in ("", DEBUGPY.name):
        raise LabError(
            f"{service.name} on {service.node} is under {service.debugger}: an IDE has it",
            hint=f"./invoke debug.detach {name} {service.name}",
        )
    path = code.find(context, paths, service, file)
    ports = _ports(context, lab, paths, service)
    began = time.monotonic()
    try:
        with ExitStack() as stack:
            debuggers = [stack.enter_context(Debugger(port)) for port in ports]
            for debugger in debuggers:
                debugger.attach()
                debugger.set_breakpoint(path, line)
            context.progress.note(service.node, f"breakpoint at {path}:{line}")
            request = threading.Thread(target=meanwhile or _do_nothing, daemon=True)
            request.start()
            stop = _first_stop(debuggers, expressions, limit_s)
        # Its services go on now; cut off, it would leave half of what it was to do.
        request.join(_REQUEST_S)
    except DapError as error:
        raise LabError(
            f"{service.node}: the debugger of {service.name}: {printable(str(error))}",
            hint=f"./invoke debug.attach {lab.name} {service.name} --node {service.node}",
        ) from error
    if stop is None:
        raise CheckFailed(
            f"nothing has come to {path}:{line} in {limit_s:.0f} s",
            hint="is it the service, and the line, that a request goes through? --wait SECONDS",
        )
    elapsed_s = time.monotonic() - began
    return Hit(service=service, path=path, line=line, elapsed_s=elapsed_s, stop=stop)


def _do_nothing() -> None:
    """Make no request: somebody else does."""


def _read_place(place: str) -> tuple[str, int]:
    found = _PLACE.fullmatch(place)
    if found is None or ".." in found["file"].split("/"):
        raise LabError(
            f"{place!r} is not a place in a source file",
            hint="FILE:LINE, for instance nova/api/openstack/compute/servers.py:700",
        )
    return found["file"], int(found["line"])


def _ports(context: Context, lab: Lab, paths: LabPaths, service: DebugService) -> list[int]:
    """Return the ports of this host that lead to the service's processes."""
    log = places.tunnel_log(paths, service.node, service.name)
    there = ssh_tunnel.ports(log)
    if service.processes and set(there.values()) == {each.port for each in service.processes}:
        return sorted(there)
    attached = attaching.attach(context, lab.name, service.name, node=service.node)
    return [port for port, _ in attached.ports]


def _first_stop(
    debuggers: Sequence[Debugger], expressions: Sequence[str], limit_s: float
) -> Stop | None:
    """Return what is seen in the first process that stops, which goes on then."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        for debugger in debuggers:
            thread = debugger.stopped(_TURN_S)
            if thread is not None:
                stop = debugger.look(thread, expressions)
                debugger.go_on(thread)
                return stop
    return None
