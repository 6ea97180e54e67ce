"""Who reaches whom on a network, for the terminal's matrix and the page's heat map."""

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
    """What all checks from one node to another on a network say; `word` is the gravest one's."""

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
        return rtt_text(self.rtt_ms) + (f" {self.word}" if self.word else "")

    def joined(self, other: Cell) -> Cell:
        """Join two cells: the graver one's word counts, the first one's where they are alike."""
        mine, others = _GRAVITY.index(self.status), _GRAVITY.index(other.status)
        graver = self
        if others > mine or (others == mine and (not self.word or other.is_cut)):
            graver = other
        rtt_ms = other.rtt_ms if self.rtt_ms is None else self.rtt_ms
        return Cell(graver.status, graver.word, rtt_ms)


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
        timed = [
            (cell.rtt_ms, pair) for pair, cell in self.cells.items() if cell.rtt_ms is not None
        ]
        return max(timed, key=lambda each: each[0])[1] if timed else None

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
    found: dict[str, dict[Pair, Cell]] = {network.name: {} for network in lab.networks}
    for result in results:
        check = result.check
        if check.kind.layer is Layer.PAIRS and check.target and check.network in found:
            cells, pair, cell = (
                found[check.network],
                (check.node, check.target),
                _cell_of_result(result),
            )
            before = cells.get(pair)
            if before is None:
                cells[pair] = cell
            elif check.kind is CheckKind.PING:
                # A ping's own word comes first: what else fails does so because of it.
                cells[pair] = cell.joined(before)
            else:
                cells[pair] = before.joined(cell)
    return tuple(
        Grid(
            network.name,
            str(network.cidr),
            _node_names(lab, network.name, found[network.name]),
            found[network.name],
        )
        for network in lab.networks
        if found[network.name]
    )


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
