"""Set nodes' clocks by the host's.

An emulated PC's clock tells a booting kernel the time to the second and no finer; the clock
of a node that was paused stands still meanwhile; and a lab need not reach an NTP server.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from stacklab.checks.nodes import clocks
from stacklab.errors import LabError
from stacklab.model.lab import NO_IMPAIRMENT, Node
from stacklab.nodes import session
from stacklab.nodes.guard import guarded
from stacklab.nodes.protocol import Part, Phase
from stacklab.paths import LabPaths
from stacklab.process.command import Conversing
from stacklab.tools import bounded, ssh
from stacklab.tools.network import tc

_ENOUGH_S = 0.2  # of two nodes, each this near the host's clock, none fails its check
_LOOKS = 3  # what is heard late makes a clock seem to be behind, so it is set again
_LIMIT_S = 20.0
# An impaired node's answer is late by what netem does now, which need not be what is declared.
_SHIFT = "clocks.shift"
_NETEM = Part(tag="clocks.tc", shell=tc.SHOW, phase=Phase.FACTS)


def set_clocks(
    runner: Conversing, paths: LabPaths, nodes: Sequence[Node], *, behind_s: float = 0.0
) -> tuple[Node, ...]:
    """Set the clocks of these running nodes, all at once; returns the nodes that did not answer.

    With `behind_s`, as far as it is known already how late they are, one session with each node
    is enough. A clock that can't be set raises nothing: the check of the clocks will tell.
    """
    silent: list[Node] = []

    def set_one(node: Node) -> None:
        if not _set_clock(runner, paths, node, behind_s):
            silent.append(node)

    bounded.together([functools.partial(set_one, node) for node in nodes], name="clocks")
    return tuple(silent)


def _set_clock(runner: Conversing, paths: LabPaths, node: Node, behind_s: float) -> bool:
    """Set a node's clock; returns False if the node did not answer."""
    try:
        readings: tuple[Part, ...] = (clocks.CLOCK,)
        for _ in range(_LOOKS):
            offset = _offset_s(runner, paths, node, readings, behind_s)
            if offset is None or abs(offset) <= _ENOUGH_S:
                return offset is not None
            behind_s = -offset
            # A second reading comes when no session begins: the first may be heard a second late.
            readings = (clocks.CLOCK, clocks.LATER)
        line = (shell_line(-behind_s),)
        runner.run(ssh.exec_command(paths, node.name, line, timeout_s=_LIMIT_S))
    except LabError:
        return False
    return True


def _offset_s(
    runner: Conversing,
    paths: LabPaths,
    node: Node,
    readings: Sequence[Part],
    behind_s: float,
) -> float | None:
    """Set a node's clock ahead by so much, and return how far it is ahead of the host's then.

    None if that can't be told.
    """
    parts = [_NETEM, *readings] if node.access.impairment else [*readings]
    if behind_s:
        parts.insert(0, Part(tag=_SHIFT, shell=shell_line(-behind_s), phase=Phase.FACTS))
    answer = session.ask(runner, paths, node.name, parts, limit_s=_LIMIT_S).answer

    def offset() -> float | None:
        netem = tc.parse(answer.of(_NETEM.tag).text).get(node.access.device, NO_IMPAIRMENT)
        return clocks.offset_s(answer, netem.delay_ms)

    return guarded(offset, lambda _why: None)


def shell_line(offset_s: float) -> str:
    """Return the line of shell that sets back a clock which is that far ahead.

    One `date` reads the clock and sets it: on a busy emulated node a second passes until another
    program has started.
    """
    return f"sudo -n date -s '{-offset_s:+.3f} seconds' >/dev/null"
