"""The grid of who reaches whom on a network: for the terminal's matrix and the page's map."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from stacklab.checks.result import CheckKind, CheckResult, CheckStatus, Layer, Reason
from stacklab.model.lab import Lab

# Fixed, so that two runs can be compared. Each is about three times the one before: round trips
# spread over orders of magnitude.
BANDS_MS = (1.0, 3.0, 10.0, 30.0, 100.0)
_GRAVITY = (CheckStatus.PASSED, CheckStatus.WARNED, CheckStatus.ERROR, CheckStatus.FAILED)
# Words of what passes since a fault was to cut it, or might.
CUT, MAYBE_CUT = "cut", "cut?"
_EXPECTED = {Reason.CUT: CUT, Reason.MAY_FAIL: MAYBE_CUT}
Pair = tuple[str, str]


def band(rtt_ms: float) -> int:
    """Return the band of a round trip: 0 is under 1 ms, the last one 100 ms and more."""
    return bisect.bisect_right(BANDS_MS, rtt_ms)


def rtt_text(rtt_ms: float) -> str:
    """Write a round trip in at most four characters, up to ten seconds."""
    return f"{rtt_ms:.1f}" if rtt_ms < 99.95 else f"{rtt_ms:.0f}"


@dataclass(frozen=True, slots=True)
class Cell:
    """The sum of all checks from one node to another on a network; `word` is the gravest's."""

    status: CheckStatus
    word: str = ""
    rtt_ms: float | None = None

    @property
    def is_bad(self) -> bool:
        """True if something did not pass."""
        return self.status in (CheckStatus.FAILED, CheckStatus.ERROR)

    @property
    def is_cut(self) -> bool:
        """True if nothing comes through, as was expected."""
        return self.status is CheckStatus.PASSED and self.word == CUT

    @property
    def text(self) -> str:
        """The round trip, and the word of what is not as it should be."""
        if self.rtt_ms is None:
            return self.word
        return f"{rtt_text(self.rtt_ms)} {self.word}".rstrip()

    def joined(self, other: Cell) -> Cell:
        """Join two cells: the graver one's word counts, the first one's where they are alike."""
        rtt_ms = self.rtt_ms
        if rtt_ms is None:
            rtt_ms = other.rtt_ms
        graver = other if self._gives_way_to(other) else self
        return Cell(graver.status, graver.word, rtt_ms)

    def _gives_way_to(self, other: Cell) -> bool:
        """Return True if the other cell's word says more."""
        mine, theirs = _GRAVITY.index(self.status), _GRAVITY.index(other.status)
        if mine != theirs:
            return theirs > mine
        # Of two that passed, one that is cut as expected says more than one that may be.
        return not self.word or other.is_cut


@dataclass(frozen=True)
class Grid:
    """One network's matrix: its nodes in the lab's order, a cell for each ordered pair."""

    network: str
    cidr: str
    names: tuple[str, ...]
    cells: Mapping[Pair, Cell] = field(repr=False)

    @cached_property
    def bad(self) -> tuple[Pair, ...]:
        """The pairs where something did not pass."""
        return tuple(pair for pair, cell in self.cells.items() if cell.is_bad)

    @cached_property
    def slowest(self) -> Pair | None:
        """The pair with the longest round trip."""
        timed = {pair: cell.rtt_ms for pair, cell in self.cells.items() if cell.rtt_ms is not None}
        return max(timed, key=timed.__getitem__, default=None)

    @property
    def caption(self) -> str:
        """The network in a line: how many ways work, and which is the slowest."""
        total, cut = len(self.cells), sum(cell.is_cut for cell in self.cells.values())
        words = f"{self.network} {self.cidr}: {total - len(self.bad) - cut} of {total} ways fine"
        if cut:
            words += f", {cut} cut"
        if self.slowest is None:
            return words
        source, target = self.slowest
        trip = rtt_text(self.cells[self.slowest].rtt_ms or 0.0)
        return f"{words}, slowest {trip} ms {source} -> {target}"


def grids(lab: Lab, results: Iterable[CheckResult]) -> tuple[Grid, ...]:
    """Return a matrix for each network on which nodes were tried against each other."""
    by_network: dict[str, dict[Pair, Cell]] = {network.name: {} for network in lab.networks}
    for result in results:
        check = result.check
        if check.kind.layer is Layer.PAIRS and check.target and check.network in by_network:
            _join_in(by_network[check.network], result)
    made: list[Grid] = []
    for network in lab.networks:
        cells = by_network[network.name]
        if cells:
            names = _node_names(lab, network.name, cells)
            made.append(Grid(network.name, str(network.cidr), names, cells))
    return tuple(made)


def _join_in(cells: dict[Pair, Cell], result: CheckResult) -> None:
    """Join a result into the cell of its pair."""
    pair, cell = (result.check.node, result.check.target), _cell_of_result(result)
    before = cells.get(pair)
    if before is None:
        cells[pair] = cell
    elif result.check.kind is CheckKind.PING:
        # A ping's own word comes first: what else fails does so because of it.
        cells[pair] = cell.joined(before)
    else:
        cells[pair] = before.joined(cell)


def _node_names(lab: Lab, network: str, cells: Mapping[Pair, Cell]) -> tuple[str, ...]:
    """Return the network's nodes, without those that a selection left out."""
    used = {name for pair in cells for name in pair}
    return tuple(node.name for node, _ in lab.members(network) if node.name in used)


def _cell_of_result(result: CheckResult) -> Cell:
    """Return what one check says of its pair."""
    kind = result.check.kind
    rtt = result.rtt_ms if kind is CheckKind.PING else None
    if result.status is CheckStatus.PASSED:
        return Cell(result.status, _EXPECTED.get(result.reason, ""), rtt)
    if result.status is CheckStatus.ERROR:
        return Cell(result.status, "?", rtt)
    if result.reason is Reason.STILL_WORKS:
        return Cell(result.status, "not cut", rtt)
    if kind is CheckKind.PING and result.status is CheckStatus.FAILED:
        return Cell(result.status, "lost" if rtt is None else "some lost", rtt)
    return Cell(result.status, kind.value, rtt)


def spread(grid: Grid) -> tuple[list[str], list[str], Sequence[Pair]]:
    """Split what fails: nodes that reach nobody, nodes that nobody reaches, and other pairs."""
    bad = set(grid.bad)
    out: dict[str, int] = {}
    into: dict[str, int] = {}
    for source, target in grid.cells:
        out[source] = out.get(source, 0) + 1
        into[target] = into.get(target, 0) + 1
    for source, target in bad:
        out[source] -= 1
        into[target] -= 1
    mute = [name for name in grid.names if out.get(name) == 0]
    deaf = [name for name in grid.names if into.get(name) == 0]
    left = [pair for pair in grid.bad if pair[0] not in mute and pair[1] not in deaf]
    return mute, deaf, left
