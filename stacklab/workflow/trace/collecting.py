"""Ask all nodes of a lab what their services have logged about a request, and compare clocks."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stacklab.checks.nodes import clocks
from stacklab.errors import LabError
from stacklab.foreign import one_line
from stacklab.installers.kit.masking import mask
from stacklab.model.lab import Lab, Node, NodeKind
from stacklab.nodes import programs, session
from stacklab.nodes.guard import guarded
from stacklab.nodes.protocol import Answer
from stacklab.paths import LabPaths
from stacklab.tools import bounded
from stacklab.workflow.context import Context
from stacklab.workflow.masking import Masker
from stacklab.workflow.trace.lines import LogLine, read_line

_TAG = "trace"
_LIMIT_S = 120.0
_CLOCK_S = 20.0
_EDGE_S = 0.001  # times are rounded on their way
# Beyond the services of the kit: what carries out their orders.
_OTHER_UNITS = ("libvirtd.service", "virtqemud.service")
_FILES = ("/var/log/ovn/*.log", "/var/log/openvswitch/*.log")
_TOKEN = re.compile(r"gAAAAA[\w=-]{20,}", re.ASCII)  # Fernet's, keystone's


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """How far a node's clock is ahead of this host's, and by how much that may be wrong."""

    node: str
    ahead_s: float
    error_s: float | None  # None: it was not read, and is taken for right


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """Lines of all nodes, the oldest first; `silent` has the reason for each node without any."""

    lines: tuple[LogLine, ...]
    clocks: tuple[Clock, ...]
    silent: Mapping[str, str]
    left_out: int


class Collector:
    """Asks the nodes of one lab; their clocks are compared once."""

    def __init__(self, context: Context, lab: Lab, paths: LabPaths, prefix: str) -> None:
        self._context = context
        self._lab = lab
        self._paths = paths
        self._prefix = prefix
        self._masker = Masker(paths)
        self._clocks: dict[str, Clock] = {}

    def compare_clocks(self) -> None:
        """Compare the nodes' clocks with this host's: once, and before what is to be traced.

        A node whose clock can't be read is asked for its lines all the same.
        """
        nodes = [node for node in self._lab.nodes if node.name not in self._clocks]
        compare = [functools.partial(self._compare_clock, node) for node in nodes]
        bounded.together(compare, name="clocks")

    def collect(self, words: Sequence[str], since: float, until: float) -> Collected:
        """Return all lines between two times, by this host's clock, that have one of the words.

        Raises LabError if no node answers.
        """
        self.compare_clocks()
        found: dict[str, tuple[list[LogLine], int]] = {}
        silent: dict[str, str] = {}

        def ask(node: Node) -> None:
            try:
                found[node.name] = self._ask(node, words, since, until)
            except LabError as error:
                silent[node.name] = error.message

        with self._context.progress.stage("host", "read the services' logs"):
            asked = [functools.partial(ask, node) for node in self._lab.nodes]
            bounded.together(asked, name="trace")
        if not found:
            raise LabError(
                f"no node of {self._lab.name} tells its logs: {next(iter(silent.values()))}",
                hint=f"./invoke lab.check {self._lab.name}",
            )
        lines = [line for some, _ in found.values() for line in some]
        return Collected(
            lines=tuple(sorted(lines, key=lambda line: line.at)),
            clocks=tuple(self._clocks[node.name] for node in self._lab.nodes),
            silent=silent,
            left_out=sum(count for _, count in found.values()),
        )

    def _compare_clock(self, node: Node) -> None:
        ahead_s: float = 0.0
        error_s: float | None = 0.0
        if node.kind is not NodeKind.CONTAINER:  # whose clock is this host's
            readings = (clocks.CLOCK, clocks.LATER)
            reply = session.ask(
                self._context.runner, self._paths, node.name, readings, limit_s=_CLOCK_S
            )
            ahead_s, error_s = _read_clock(reply.answer)
        self._clocks[node.name] = Clock(node=node.name, ahead_s=ahead_s, error_s=error_s)

    def _ask(
        self, node: Node, words: Sequence[str], since: float, until: float
    ) -> tuple[list[LogLine], int]:
        ahead_s = self._clocks[node.name].ahead_s
        units = (f"{self._prefix}*.service", *_OTHER_UNITS)
        argv = ["python3", "-"]
        argv += ["--since", f"{since + ahead_s:.3f}", "--until", f"{until + ahead_s:.3f}"]
        for option, values in (("--unit", units), ("--file", _FILES)):
            for value in values:
                argv += [option, value]
        ended = programs.run(
            self._context.runner,
            self._paths,
            node.name,
            [*argv, "--", *words],
            programs.source_of("trace_node"),
            tag=_TAG,
            limit_s=_LIMIT_S,
        )
        if ended.why:
            raise LabError(f"{node.name}: {ended.why}")
        said = ended.objects
        if ended.failed:
            raise LabError(f"{node.name}: {one_line(ended.failed)}")
        read = (read_line(each, node.name, prefix=self._prefix, ahead_s=ahead_s) for each in said)
        # Whatever a node says of its times, none but these were asked for.
        lines = [
            self._masked(line)
            for line in read
            if line is not None and since - _EDGE_S <= line.at <= until + _EDGE_S
        ]
        left_out = next((each["left_out"] for each in said if "left_out" in each), 0)
        return lines, left_out if type(left_out) is int and left_out > 0 else 0

    def _masked(self, line: LogLine) -> LogLine:
        """Return a line without the lab's passwords and without tokens."""
        text = _TOKEN.sub(mask.MASK, self._masker.text(line.message))
        return line if text == line.message else dataclasses.replace(line, message=text)


def _read_clock(answer: Answer) -> tuple[float, float | None]:
    """Return how far a clock is ahead, and the most by which that can be wrong.

    A reading is heard late, never early: of two, the later one may hide its whole way here.
    """

    def read() -> tuple[float, float | None]:
        ahead_s = clocks.offset_s(answer)
        if ahead_s is None:
            return 0.0, None
        late = []
        for part in (clocks.CLOCK, clocks.LATER):
            said = answer.of(part.tag)
            now = clocks.seconds(said.text)
            if now is not None:
                late.append(said.heard_at - now)
        return ahead_s, max(late) - min(late)

    return guarded(read, lambda _why: (0.0, None))
