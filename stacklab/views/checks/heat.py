"""The grid of who reaches whom on a network: for the terminal's matrix and the page's map."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from stacklab.checks.result import CheckKind, CheckResult, CheckStatus, Layer, Reason
from stacklab.model.lab import Lab

# Fixed, so that two runs can be compared. Each is about three times the one before: round trips
# spread over orders of magnitude.
BANDS_MS = (1.0, 3.0, 10.0, 30.0, 100.0)
_GRAVITY = (CheckStatus.PASSED, CheckStatus.WARNED, CheckStatus.ERROR, CheckStatus.FAILED)
# Words of what passes although it does not get through: a fault was to cut it, or might.
CUT, MAYBE_CUT = "cut", "cut?"
_EXPECTED = {Reason.CUT: CUT, Reason.MAY_FAIL: MAYBE_CUT}
Pair = tuple[str, str]


def band_of_rtt(rtt_ms: float) -> int:
    """Return the band of a round trip: 0 is under 1 ms, the last one 100 ms and more."""
    return bisect.bisect_right(BANDS_MS, rtt_ms)


def rtt_text(rtt_ms: float) -> str:
    """Write a round trip in at most four characters, up to ten seconds."""
    # From 99.95 on, one decimal would be rounded to 100.0, which has five characters.
    if rtt_ms < 99.95:
        return f"{rtt_ms:.1f}"
    return f"{rtt_ms:.0f}"


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
        graver = other if self._gives_way_to(other) else self
        # Only pings measure a round trip, so it may come from the less grave one.
        rtt_ms = other.rtt_ms if self.rtt_ms is None else self.rtt_ms
        return Cell(
            status=graver.status,
            word=graver.word,
            rtt_ms=rtt_ms,
        )

    def _gives_way_to(self, other: Cell) -> bool:
        """Return True if the other cell's word says more."""
        own_gravity = _GRAVITY.index(self.status)
        other_gravity = _GRAVITY.index(other.status)
        if own_gravity != other_gravity:
            return other_gravity > own_gravity
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
        times: dict[Pair, float] = {}
        for pair, cell in self.cells.items():
            if cell.rtt_ms is not None:
                times[pair] = cell.rtt_ms
        return max(times, key=times.__getitem__, default=None)

    @property
    def caption(self) -> str:
        """The network in a line: how many ways work, and which is the slowest."""
        total = len(self.cells)
        cut = sum(cell.is_cut for cell in self.cells.values())
        fine = total - len(self.bad) - cut
        words = f"{self.network} {self.cidr}: {fine} of {total} ways fine"
        if cut:
            words += f", {cut} cut"
        if self.slowest is None:
            return words
        source, target = self.slowest
        slowest_ms = self.cells[self.slowest].rtt_ms or 0.0
        return f"{words}, slowest {rtt_text(slowest_ms)} ms {source} -> {target}"


def build_grids(lab: Lab, results: Iterable[CheckResult]) -> tuple[Grid, ...]:
    """Return a matrix for each network on which nodes were tried against each other."""
    cells_by_network: dict[str, dict[Pair, Cell]] = {}
    for network in lab.networks:
        cells_by_network[network.name] = {}
    for result in results:
        check = result.check
        # Some checks of this layer are of a node alone, or of no network.
        is_of_pair = check.kind.layer is Layer.PAIRS and bool(check.target)
        if is_of_pair and check.network in cells_by_network:
            _add_result(cells_by_network[check.network], result)
    grids: list[Grid] = []
    for network in lab.networks:
        cells = cells_by_network[network.name]
        if not cells:
            continue
        grid = Grid(
            network=network.name,
            cidr=str(network.cidr),
            names=_node_names(lab, network.name, cells),
            cells=cells,
        )
        grids.append(grid)
    return tuple(grids)


def _add_result(cells: dict[Pair, Cell], result: CheckResult) -> None:
    """Join a result into the cell of its pair."""
    pair = (result.check.node, result.check.target)
    cell = _cell_of_result(result)
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
    is_ping = result.check.kind is CheckKind.PING
    return Cell(
        status=result.status,
        word=_word_of_result(result),
        rtt_ms=result.rtt_ms if is_ping else None,
    )


def _word_of_result(result: CheckResult) -> str:
    kind = result.check.kind
    if result.status is CheckStatus.PASSED:
        return _EXPECTED.get(result.reason, "")
    if result.status is CheckStatus.ERROR:
        return "?"
    if result.reason is Reason.STILL_WORKS:
        return "not cut"
    if kind is CheckKind.PING and result.status is CheckStatus.FAILED:
        return "lost" if result.rtt_ms is None else "some lost"
    return kind.value


def split_failures(grid: Grid) -> tuple[list[str], list[str], Sequence[Pair]]:
    """Split what fails: nodes that reach nobody, nodes that nobody reaches, and other pairs."""
    # Ways that were tried, less those that are bad. A node that tried none is not in the counts:
    # so get(), which says None for it, and not [], which would say 0.
    ways_out = Counter(source for source, _ in grid.cells)
    ways_in = Counter(target for _, target in grid.cells)
    for source, target in grid.bad:
        ways_out[source] -= 1
        ways_in[target] -= 1
    mute = [name for name in grid.names if ways_out.get(name) == 0]
    deaf = [name for name in grid.names if ways_in.get(name) == 0]
    others: list[Pair] = []
    for source, target in grid.bad:
        if source not in mute and target not in deaf:
            others.append((source, target))
    return mute, deaf, others
