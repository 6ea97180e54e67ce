"""Have nodes that run load the drivers of their further disks; see nodes.disk_drivers."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from stacklab.model.lab import Node
from stacklab.nodes import disk_drivers, protocol, session
from stacklab.nodes.protocol import Part
from stacklab.paths import LabPaths
from stacklab.process.command import Conversing
from stacklab.tools import bounded

_TAG = "drivers.load"
# For an emulated node under load, with the wait for its disks.
_LIMIT_S = 60.0


def load(runner: Conversing, paths: LabPaths, nodes: Sequence[Node]) -> None:
    """Load them on those of these nodes that need any, all at once; most labs need none.

    Idempotent. A driver that can't be loaded raises nothing: the check of the disk will tell.
    """

    def load_on(node: Node, script: str) -> None:
        part = Part(tag=_TAG, shell=protocol.as_root(script), limit_s=_LIMIT_S)
        session.ask(runner, paths, node.name, [part], limit_s=_LIMIT_S)

    calls = []
    for node in nodes:
        script = disk_drivers.script(node)
        if script:
            calls.append(functools.partial(load_on, node, script))
    bounded.together(calls, name="drivers")
