"""Copy files to a running node."""

from __future__ import annotations

from collections.abc import Mapping

from stacklab.errors import CommandFailed
from stacklab.foreign import printable
from stacklab.nodes import archive, protocol, session
from stacklab.nodes.archive import Entry
from stacklab.nodes.protocol import Part
from stacklab.paths import LabPaths
from stacklab.workflow.context import Context

_PLACE_LIMIT_S = 120.0


def copy_to_node(
    context: Context,
    paths: LabPaths,
    node: str,
    entries: Mapping[str, Entry],
    *,
    what: str,
    limit_s: float = _PLACE_LIMIT_S,
) -> None:
    """Copy files to a running node, over those that are there; raises CommandFailed."""
    with context.progress.stage(node, what):
        shell = protocol.fed("sudo -n tar -xpf - -C /", archive.tar(entries))
        part = Part(tag=f"{what}.place", shell=shell, limit_s=limit_s)
        reply = session.ask(context.runner, paths, node, [part], limit_s=limit_s)
        placed = reply.answer.of(part.tag)
        if placed.code != 0:
            why = reply.missing(part.tag) or placed.text or f"ended with {placed.code}"
            raise CommandFailed(
                f"placing the {what} on {node} failed: {printable(why)}",
                hint=f"./invoke lab.check {paths.name}, then ./invoke lab.up {paths.name} again",
            )
