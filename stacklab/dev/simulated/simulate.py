"""Nodes that speak the protocol without being there: for `bench.check`, and for tests.

They read the script that a node would be sent, and answer each part as a healthy node
of that lab would; `spoil` changes what one says.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator

from stacklab.checks.pairs import shell as pairs_shell
from stacklab.checks.reach import beside_family, dials, isolation_family, transit
from stacklab.dev.simulated import impairments as impairments_simulated
from stacklab.dev.simulated import nodes as nodes_simulated
from stacklab.dev.simulated import outside as outside_simulated
from stacklab.dev.simulated import pairs as pairs_simulated
from stacklab.model.lab import Lab, Node
from stacklab.process.command import Command, Result

Lines = Iterable[str]
# the lab, the node, the part's shell -> what it writes
Responder = Callable[[Lab, Node, str], Lines]
# node, tag, lines, code -> lines, code
Spoil = Callable[[str, str, list[str], int], tuple[list[str], int]]

# In a script of protocol.render: each part is a function, and each is called with its tag.
_PART = re.compile(
    r"^(part\d+)\(\) \{\n(.*?)\n\}\n(?=(?:part\d+|session)\(\) \{$)", re.MULTILINE | re.DOTALL
)
_CALL = re.compile(r"^tagged (\S+) (part\d+)", re.MULTILINE)


def _clock_lines(lab: Lab, node: Node, shell: str) -> Lines:
    # Nothing is late here, so the clock is set back by what the judge adds for the delay.
    return [f"{time.time() - node.access.impairment.delay_ms / 1000:.9f}"]


def _hostname_lines(lab: Lab, node: Node, shell: str) -> Lines:
    return [node.name]


def _custom_lines(lab: Lab, node: Node, shell: str) -> Lines:
    numbers = re.findall(r"^attempt (\d+) ", shell, re.MULTILINE)
    # Passed at the first try, with exit code 0 of the command and of timeout(1).
    return [f"{number} ended yes 1 0 0" for number in numbers]


# By the tag, or what it begins with; who is not here writes nothing and ends with 0.
HEALTHY: dict[str, Responder] = {
    "custom": _custom_lines,
    isolation_family.SEPARATE: outside_simulated.separate,
    beside_family.BESIDE: outside_simulated.beside,
    transit.TRANSIT: outside_simulated.transit,
    dials.DIALS: outside_simulated.dials,
    "impairments.ping": impairments_simulated.pings,
    "impairments.rate": impairments_simulated.trains,
    "impairments.tc": impairments_simulated.show,
    "nodes.clock": _clock_lines,
    "nodes.hostname": _hostname_lines,
    "nodes.look": nodes_simulated.look,
    "nodes.user": nodes_simulated.user,
    "cloud.units": nodes_simulated.units,
    pairs_shell.PINGS: pairs_simulated.pings,
    pairs_shell.SOURCES: pairs_simulated.sources,
    pairs_shell.NAMES: pairs_simulated.names,
    pairs_shell.LOGINS: pairs_simulated.logins,
}


def node_of(command: Command) -> str:
    """Return the node that a session goes to."""
    return command.argv[command.argv.index("--") + 1]


def script_of(command: Command) -> str:
    """Return the script that a session carries."""
    return (command.stdin or b"").decode()


def _as_it_is(node: str, tag: str, lines: list[str], code: int) -> tuple[list[str], int]:
    return lines, code


def answer(lab: Lab, command: Command, spoil: Spoil = _as_it_is) -> Iterator[str]:
    """Yield the lines that the node would write, as they would come."""
    text, node = script_of(command), lab.node(node_of(command))
    mark_line = re.search(r"^m=(\S+)$", text, re.MULTILINE)
    assert mark_line is not None, "a script of protocol.render"
    mark = mark_line[1]
    bodies = dict(_PART.findall(text))
    yield f"{mark} begin"
    for tag, name in _CALL.findall(text):
        healthy = list(_healthy_lines(lab, node, tag, bodies[name]))
        lines, code = spoil(node.name, tag, healthy, 0)
        for line in lines:
            yield f"{mark} {tag} {line}"
        yield f"{mark} {tag} = {code}"
    yield f"{mark} end"


def _healthy_lines(lab: Lab, node: Node, tag: str, shell: str) -> Lines:
    """Return what a healthy node writes for one part."""
    for key, responder in HEALTHY.items():
        if tag == key or tag.startswith(f"{key}."):
            return responder(lab, node, shell)
    return ()


class SimulatedNodes:
    """A runner whose commands are sessions with simulated nodes."""

    def __init__(self, lab: Lab, spoil: Spoil = _as_it_is) -> None:
        self._lab = lab
        self._spoil = spoil
        self.asked: list[str] = []  # which node, session by session

    def converse(
        self,
        command: Command,
        *,
        heard: Callable[[str, float], None],
        why_stop: Callable[[], str] = lambda: "",
    ) -> Result:
        """See stacklab.process.Conversing."""
        self.asked.append(node_of(command))
        for line in answer(self._lab, command, self._spoil):
            heard(line, time.time())
        return Result(exit_code=0, elapsed_s=0.8)

    def stream(
        self, command: Command, *, out: Callable[[bytes], None], err: Callable[[bytes], None]
    ) -> Result:
        """See stacklab.process.Conversing: a user's command writes nothing here."""
        return Result(exit_code=0)

    def run(self, command: Command) -> Result:
        """See stacklab.process.Runner."""
        return Result(exit_code=0)
