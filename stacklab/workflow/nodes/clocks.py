"""Set nodes' clocks by the host's: an emulated PC's clock tells a booting kernel no more than the second.

One that was paused stands still meanwhile, and a lab need not reach any NTP server.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence

from stacklab.checks.nodes import clocks
from stacklab.errors import LabError
from stacklab.model.lab import NO_IMPAIRMENT, Node
from stacklab.nodes import protocol
from stacklab.nodes.protocol import Hearing, Part, Phase
from stacklab.paths import LabPaths
from stacklab.process import Conversing
from stacklab.tools import ssh, tc

_ENOUGH_S = 0.1  # of two nodes, each this near the host's clock, none fails its check
_TRIES = 3  # a busy node may need half a second from the look at its clock to setting it
_LIMIT_S = 20.0
# An impaired node's answer is late by what netem does now: a declared delay may not be there yet, or no more.
_NETEM = Part(tag="clocks.tc", shell=tc.SHOW, phase=Phase.FACTS)


def set_clocks(runner: Conversing, paths: LabPaths, nodes_: Sequence[Node]) -> None:
    """Set the clocks of these running nodes, all at once; one that can't be set is for the check to tell."""
    threads = [
        # Daemons: Ctrl-C must not wait for a node that hangs.
        threading.Thread(
            target=_set, args=(runner, paths, node), name=f"clock {node.name}", daemon=True
        )
        for node in nodes_
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.2)  # in pieces: a plain join would keep Ctrl-C waiting


def _set(runner: Conversing, paths: LabPaths, node: Node) -> None:
    try:
        for _ in range(_TRIES):
            offset = _offset_s(runner, paths, node)
            if offset is None or abs(offset) <= _ENOUGH_S:
                return
            runner.run(
                ssh.exec_command(paths, node.name, (shell_line(offset),), timeout_s=_LIMIT_S)
            )
    except LabError:
        return


def _offset_s(runner: Conversing, paths: LabPaths, node: Node) -> float | None:
    marker = f"stacklab-{secrets.token_hex(8)}"
    hearing = Hearing(marker)
    parts = [_NETEM, clocks.CLOCK] if node.access.impairment else [clocks.CLOCK]
    script = protocol.render(parts, marker)
    runner.converse(
        ssh.script_command(paths, node.name, script, timeout_s=_LIMIT_S), heard=hearing.hear
    )
    answer = hearing.answer()
    netem = tc.parse(answer.of(_NETEM.tag).text).get(node.access.device, NO_IMPAIRMENT)
    return clocks.offset_s(answer, netem.delay_ms)


def shell_line(offset_s: float) -> str:
    """Move a clock that is that far ahead; both looks in one root shell, since sudo takes 0.2 s emulated."""
    return f'sudo -n sh -c \'date -s "$(date -d "{-offset_s:+.3f} seconds" +@%s.%N)" >/dev/null\''
