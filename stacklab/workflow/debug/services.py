"""The services of a lab's cloud that can be debugged, as its nodes list them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from stacklab.errors import LabError
from stacklab.foreign import printable
from stacklab.model.lab import Lab
from stacklab.model.state import NodeState
from stacklab.paths import LabPaths
from stacklab.providers import registry
from stacklab.words import suggest
from stacklab.workflow.context import Context
from stacklab.workflow.debug import node_program
from stacklab.workflow.debug.service import DebugProcess, DebugService, service_prefix

_LOOK_S = 60.0
_ENGINES = ("docker", "podman")
_MOST_SERVICES = 200
_MOST_PROCESSES = 50
_HIGHEST_PORT = 65535
_WORD = re.compile(r"\w[\w@.-]{0,99}", re.ASCII)


def list_services(context: Context, lab: Lab, paths: LabPaths) -> tuple[DebugService, ...]:
    """Ask all nodes but those that are off for their services.

    Raises LabError for a lab without such, and for a node that does not answer.
    """
    prefix = service_prefix(lab)
    lab_record = registry.read(paths)
    states = context.states(lab_record) if lab_record else {}
    found: list[DebugService] = []
    for node in lab.nodes:
        # Where the provider can't be asked, a node itself can.
        if states.get(node.name, NodeState.RUNNING) is not NodeState.RUNNING:
            context.progress.note(node.name, "it does not run: its services are not listed")
            continue
        lines = node_program.run(context, paths, node.name, ("look", prefix), limit_s=_LOOK_S)
        for line in lines[:_MOST_SERVICES]:
            service = _read_service(node.name, line)
            if service:
                found.append(service)
    return tuple(found)


def pick(lab: Lab, services: Sequence[DebugService], name: str, node: str = "") -> DebugService:
    """Return the service of that name; raises LabError for none, and for one of several nodes."""
    named = [each for each in services if name in (each.name, each.unit)]
    if not named:
        known = sorted({each.name for each in services})
        raise LabError(
            f"no node of {lab.name} has a service {name!r} that runs Python",
            hint=suggest(name, known, label="services"),
        )
    fitting = [each for each in named if node in ("", each.node)]
    nodes = ", ".join(each.node for each in named)
    if not fitting:
        raise LabError(f"{node} has no service {name}", hint=f"it is on {nodes}")
    if len(fitting) > 1:
        raise LabError(
            f"{name} is on several nodes: {nodes}",
            hint=f"say which: --node {fitting[0].node}",
        )
    return fitting[0]


def read_processes(said: object) -> tuple[DebugProcess, ...]:
    """Return the processes of which a node says in good form that they are under a debugger."""
    found: list[DebugProcess] = []
    for each in said[:_MOST_PROCESSES] if isinstance(said, list) else ():
        if not isinstance(each, dict):
            continue
        pid, port = each.get("pid"), read_port(each.get("port"))
        if type(pid) is int and port is not None:
            program = printable(str(each.get("program", "")))
            found.append(DebugProcess(pid=pid, port=port, program=program))
    return tuple(found)


def read_port(said: object) -> int | None:
    """Return a port that a node says; None for what is none."""
    return said if type(said) is int and 0 < said <= _HIGHEST_PORT else None


def _read_service(node: str, line: Mapping[str, Any]) -> DebugService | None:
    words = {key: str(line.get(key, "")) for key in ("service", "unit", "kind", "state")}
    # They become names of files, and words to type.
    if not all(_WORD.fullmatch(word) for word in words.values()):
        return None
    given = line.get("given")
    given = given if isinstance(given, list) else []
    debugger = str(line.get("debugger", ""))
    container, engine = str(line.get("container", "")), str(line.get("engine", ""))
    is_contained = engine in _ENGINES and bool(_WORD.fullmatch(container))
    return DebugService(
        node=node,
        name=words["service"],
        unit=words["unit"],
        kind=words["kind"],
        container=container if is_contained else "",
        engine=engine if is_contained else "",
        state=words["state"],
        is_hooked=line.get("hooked") is True,
        debugger=debugger if _WORD.fullmatch(debugger) else "",
        is_calmed="patience" in given,
        is_detailed="detail" in given,
        processes=read_processes(line.get("processes")),
    )
