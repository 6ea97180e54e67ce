"""Tunnels to a node's loopback: an ssh that outlives the command that starts it.

Its log file is its mark (see host/outliving.py). It goes away with its node, by ssh's own probes.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from stacklab import files
from stacklab.paths import LabPaths
from stacklab.process.command import Command, Runner
from stacklab.tools.host import outliving

_LOOPBACK = "127.0.0.1"
_START_S = 60.0
_TO_NODE = "-L"
_FROM_NODE = "-R"


def start(runner: Runner, paths: LabPaths, node: str, log: Path, ports: Mapping[int, int]) -> None:
    """Have connections to these ports of this host end at those of the node.

    `ports` is port here -> port there, both of the loopback alone. A tunnel with this log is ended
    before. Raises CommandFailed.
    """
    forwards = [
        word
        for here, there in ports.items()
        for word in (_TO_NODE, f"{_LOOPBACK}:{here}:{_LOOPBACK}:{there}")
    ]
    _start(runner, paths, node, log, forwards)


def start_from_node(
    runner: Runner, paths: LabPaths, node: str, log: Path, *, here: int, there: int
) -> None:
    """Have connections to a port of the node's loopback end at one of this host's; see `start`."""
    forwards = (_FROM_NODE, f"{_LOOPBACK}:{there}:{_LOOPBACK}:{here}")
    _start(runner, paths, node, log, forwards)


def _start(runner: Runner, paths: LabPaths, node: str, log: Path, forwards: Sequence[str]) -> None:
    end(log)
    files.make_directory(log.parent, mode=0o700)
    argv = (
        "ssh",
        "-F",
        str(paths.ssh_config),
        "-f",
        "-N",
        "-E",
        str(log),
        # One of its own: others end the shared connection.
        "-o",
        "ControlPath=none",
        "-o",
        "ExitOnForwardFailure=yes",
        *forwards,
        "--",
        node,
    )
    runner.run(Command(argv=argv, what=f"a tunnel to {node}", timeout_s=_START_S))


def ports(log: Path) -> dict[int, int]:
    """Return the ports of the tunnel with this log, port here -> port there; {} if none runs."""
    found: dict[int, int] = {}
    for process in outliving.find("ssh", str(log)):
        words = outliving.arguments(process)
        for option, value in pairwise(words):
            if option in (_TO_NODE, _FROM_NODE):
                _, first, _, second = value.split(":")
                here, there = (first, second) if option == _TO_NODE else (second, first)
                found[int(here)] = int(there)
    return found


def end(log: Path) -> None:
    """End the tunnel with this log; there may be none."""
    outliving.end("ssh", str(log))
    log.unlink(missing_ok=True)


def choose_port(wanted: int) -> int:
    """Return a free port of this host's loopback: the wanted one if that is free."""
    for port in (wanted, 0):
        with socket.socket() as trial:
            try:
                trial.bind((_LOOPBACK, port))
            except OSError:
                continue
            return int(trial.getsockname()[1])
    raise AssertionError("port 0 is always free")
