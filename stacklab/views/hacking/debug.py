"""Services under a debugger, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from stacklab.foreign import printable
from stacklab.views.tables import table

if TYPE_CHECKING:
    from stacklab.workflow.debug.attaching import AttachedService, Listed
    from stacklab.workflow.debug.breaking import Hit

_MOST_FRAMES = 20
_VALUE_MAX = 500


def attached(lab: str, done: AttachedService) -> list[Table | Text]:
    """Return the ports that lead to a service's processes, and what to type next."""
    service = done.service
    rows = [
        (f"127.0.0.1:{port}", process.program, str(process.pid), service.node)
        for port, process in done.ports
    ]
    lines = [""]
    if done.debugger.is_called:
        lines.append(f"{done.debugger.ide} has it: {done.folder} is the project with its paths")
    else:
        lines.append(f"{done.debugger.ide}: open {done.folder} and start debugging")
    lines.append(
        f"its code beside that: ./invoke debug.sources {lab} {service.name} --node {service.node}"
    )
    if done.debugger.is_called:
        lines.append("whoever is on the node can talk to the debug server as well")
    else:
        lines.append("whoever reaches the port on this host can run code as the service's user")
    if done.calmed:
        names = ", ".join(f"{each.name} on {each.node}" for each in done.calmed)
        lines.append(f"restarted too, so that they wait an hour for it: {names}")
    lines.append(f"to end all of it: ./invoke debug.detach {lab} {service.name}")
    return [table(("debugger", "program", "pid", "node"), rows), Text("\n".join(lines))]


def status_table(listed: Sequence[Listed]) -> Table:
    """Return a table of all services."""
    rows = []
    for each in listed:
        service = each.service
        rows.append(
            (
                service.name,
                service.node,
                f"{service.kind} in {service.engine}" if service.container else service.kind,
                service.state,
                _state(each),
                ", ".join(f"127.0.0.1:{port}" for port in each.ports),
            )
        )
    return table(("service", "node", "kind", "state", "debugger", "tunnel"), rows)


def _state(listed: Listed) -> Text:
    service = listed.service
    if service.is_hooked and service.processes:
        return Text(f"{service.debugger} ({len(service.processes)})", "green")
    if service.is_hooked:
        return Text(f"{service.debugger}: no process", "yellow")
    return Text("waits longer" if service.is_calmed else "")


def as_rows(listed: Sequence[Listed]) -> list[dict[str, object]]:
    """Return the same for JSON."""
    return [
        {
            "service": each.service.name,
            "node": each.service.node,
            "unit": each.service.unit,
            "kind": each.service.kind,
            "container": each.service.container,
            "state": each.service.state,
            "debugged": each.service.is_hooked,
            "debugger": each.service.debugger,
            "patient": each.service.is_calmed,
            "processes": [
                {"pid": process.pid, "port": process.port, "program": process.program}
                for process in each.service.processes
            ],
            "ports": list(each.ports),
        }
        for each in listed
    ]


def hit(found: Hit) -> list[Table | Text]:
    """Return the stack of a breakpoint that was hit, and the values that were asked for."""
    service = found.service
    frames = found.stop.frames
    rows = [
        (str(number), printable(frame.function), printable(f"{frame.path}:{frame.line}"))
        for number, frame in enumerate(frames[:_MOST_FRAMES])
    ]
    head = Text(
        f"{service.name} on {service.node} has stopped at {found.path}:{found.line} "
        f"after {found.elapsed_s:.1f} s, and went on\n"
    )
    shown: list[Table | Text] = [head, table(("frame", "function", "place"), rows)]
    if len(frames) > _MOST_FRAMES:
        shown.append(Text(f"and {len(frames) - _MOST_FRAMES} more"))
    if found.stop.values:
        values = [
            (expression, printable(value[:_VALUE_MAX])) for expression, value in found.stop.values
        ]
        shown += [Text(""), table(("expression", "value"), values)]
    return shown
