"""Set nodes' clocks by the host's.

An emulated PC's clock tells a booting kernel the time to the second and no finer; the clock
of a node that was paused stands still meanwhile; and a lab need not reach an NTP server.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from stacklab.checks.nodes import clocks
from stacklab.errors import LabError
from stacklab.model.lab import NO_IMPAIRMENT, Node
from stacklab.nodes import session
from stacklab.nodes.guard import guarded
from stacklab.nodes.protocol import Part, Phase
from stacklab.paths import LabPaths
from stacklab.process.command import Conversing
from stacklab.tools import ssh, tc

_ENOUGH_S = 0.1  # of two nodes, each this near the host's clock, none fails its check
_TRIES = 3  # a busy node may need half a second from the look at its clock to setting it
_LIMIT_S = 20.0
# An impaired node's answer is late by what netem does now, which need not be what is declared.
_NETEM = Part(tag="clocks.tc", shell=tc.SHOW, phase=Phase.FACTS)


def set_clocks(runner: Conversing, paths: LabPaths, nodes: Sequence[Node]) -> None:
    """Set the clocks of these running nodes, all at once.

    A clock that can't be set raises nothing: the check of the clocks will tell.
    """
    threads = [
        # Daemons: Ctrl-C must not wait for a node that hangs.
        threading.Thread(
            target=_set_clock,
            args=(runner, paths, node),
            name=f"clock {node.name}",
            daemon=True,
        )
        for node in nodes
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.2)  # in pieces: a plain join would keep Ctrl-C waiting


def _set_clock(runner: Conversing, paths: LabPaths, node: Node) -> None:
    try:
        for _ in range(_TRIES):
            offset = _offset_s(runner, paths, node)
            if offset is None or abs(offset) <= _ENOUGH_S:
                return
            line = (shell_line(offset),)
            runner.run(ssh.exec_command(paths, node.name, line, timeout_s=_LIMIT_S))
    except LabError:
        return


def _offset_s(runner: Conversing, paths: LabPaths, node: Node) -> float | None:
    """Return how far a node's clock is ahead of the host's; None if that can't be told."""
    parts = [_NETEM, clocks.CLOCK] if node.access.impairment else [clocks.CLOCK]
    answer = session.ask(runner, paths, node.name, parts, limit_s=_LIMIT_S).answer

    def offset() -> float | None:
        netem = tc.parse(answer.of(_NETEM.tag).text).get(node.access.device, NO_IMPAIRMENT)
        return clocks.offset_s(answer, netem.delay_ms)

    return guarded(offset, lambda _why: None)


def shell_line(offset_s: float) -> str:
    """Return the line of shell that sets back a clock which is that far ahead.

    Both looks at the clock are in one root shell: sudo takes 0.2 s on an emulated node.
    """
    return f'sudo -n sh -c \'date -s "$(date -d "{-offset_s:+.3f} seconds" +@%s.%N)" >/dev/null\''
