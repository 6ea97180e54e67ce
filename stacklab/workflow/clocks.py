"""Set nodes' clocks by the host's: an emulated PC's clock tells a booting kernel no more than the second.

One that was paused stands still meanwhile, and a lab need not reach any NTP server.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence

from stacklab.checks import nodes, protocol
from stacklab.checks.protocol import Hearing
from stacklab.errors import LabError
from stacklab.paths import LabPaths
from stacklab.process import Conversing
from stacklab.tools import ssh

_ENOUGH_S = 0.1  # of two nodes, each this near the host's clock, none fails its check
_TRIES = 3  # a busy node may need half a second from the look at its clock to setting it
_LIMIT_S = 20.0


def set_clocks(runner: Conversing, paths: LabPaths, names: Sequence[str]) -> None:
    """Set the clocks of these running nodes, all at once; one that can't be set is for the check to tell."""
    threads = [
        # Daemons: Ctrl-C must not wait for a node that hangs.
        threading.Thread(target=_set, args=(runner, paths, name), name=f"clock {name}", daemon=True)
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.2)  # in pieces: a plain join would keep Ctrl-C waiting


def _set(runner: Conversing, paths: LabPaths, name: str) -> None:
    try:
        for _ in range(_TRIES):
            offset = _offset_s(runner, paths, name)
            if offset is None or abs(offset) <= _ENOUGH_S:
                return
            runner.run(ssh.exec_command(paths, name, (shell_line(offset),), timeout_s=_LIMIT_S))
    except LabError:
        return


def _offset_s(runner: Conversing, paths: LabPaths, name: str) -> float | None:
    marker = f"stacklab-{secrets.token_hex(8)}"
    hearing = Hearing(marker)
    script = protocol.render([nodes.CLOCK], marker)
    runner.converse(ssh.script_command(paths, name, script, timeout_s=_LIMIT_S), heard=hearing.hear)
    return nodes.clock_offset_s(hearing.answer())


def shell_line(offset_s: float) -> str:
    """Move a clock that is that far ahead; both looks in one root shell, since sudo takes 0.2 s emulated."""
    return f"sudo -n sh -c 'date -s \"$(date -d \"{-offset_s:+.3f} seconds\" +@%s.%N)\" >/dev/null'"
