"""Who reaches whom on a network, for the terminal's matrix and the page's heat map."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from stacklab.checks.expect import CUT_HEAD, EITHER_HEAD, STILL_HEAD
from stacklab.checks.result import CheckKind, CheckResult, CheckStatus, Layer
from stacklab.model.lab import Lab

# Fixed, so that two runs can be compared; each about three times the one before, as round trips spread.
BANDS_MS = (1.0, 3.0, 10.0, 30.0, 100.0)
_GRAVITY = (CheckStatus.PASSED, CheckStatus.WARNED, CheckStatus.ERROR, CheckStatus.FAILED)
CUT, MAYBE_CUT = "cut", "cut?"  # words of what passes since a fault was to cut it, or might
Pair = tuple[str, str]


def band(rtt_ms: float) -> int:
    """Which band a round trip is in: 0 is under 1 ms, the last 100 ms and more."""
    return bisect.bisect_right(BANDS_MS, rtt_ms)


def rtt_text(rtt_ms: float) -> str:
    """A round trip in at most four characters, for as long as it is no more than ten seconds."""
    return f"{rtt_ms:.1f}" if rtt_ms < 99.95 else f"{rtt_ms:.0f}"


@dataclass(frozen=True, slots=True)
class Cell:
    """What all checks from one node to another on a network say together; `word` is the reason of the gravest."""

    status: CheckStatus
    word: str = ""
    rtt_ms: float | None = None

    @property
    def is_bad(self) -> bool:
        """Whether something did not pass."""
        return self.status in (CheckStatus.FAILED, CheckStatus.ERROR)

    @property
    def is_cut(self) -> bool:
        """Whether nothing comes through, as was expected."""
        return self.status is CheckStatus.PASSED and self.word == CUT

    @property
    def text(self) -> str:
        """The round trip; of what is not as it should be, the reason."""
        if self.rtt_ms is None:
            return self.word
        return rtt_text(self.rtt_ms) + (f" {self.word}" if self.word else "")

    def joined(self, other: Cell) -> Cell:
        """Both in one: the graver one's word, the first one's where they are alike."""
        mine, others = _GRAVITY.index(self.status), _GRAVITY.index(other.status)
        graver = (
            other if others > mine or (others == mine and (not self.word or other.is_cut)) else self
        )
        return Cell(
            graver.status, graver.word, self.rtt_ms if self.rtt_ms is not None else other.rtt_ms
        )


@dataclass(frozen=True)
class Grid:
    """One network's matrix: its nodes in the lab's order, a cell for each ordered pair that was checked."""

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
        """How it is on the whole, in a line."""
        total, cut = len(self.cells), sum(cell.is_cut for cell in self.cells.values())
        words = f"{self.network} {self.cidr}: {total - len(self.bad) - cut} of {total} ways fine"
        if cut:
            words += f", {cut} cut"
        if self.slowest is None:
            return words
        source, target = self.slowest
        return f"{words}, slowest {rtt_text(self.cells[self.slowest].rtt_ms or 0.0)} ms {source} -> {target}"


def grids(lab: Lab, results: Iterable[CheckResult]) -> tuple[Grid, ...]:
    """A matrix for each network on which nodes were tried against each other."""
    found: dict[str, dict[Pair, Cell]] = {network.name: {} for network in lab.networks}
    for result in results:
        check = result.check
        if check.kind.layer is Layer.PAIRS and check.target and check.network in found:
            cells, pair, cell = found[check.network], (check.node, check.target), _cell(result)
            before = cells.get(pair)
            if before is None:
                cells[pair] = cell
            else:  # a ping's own word first: what else fails does so for want of it
                cells[pair] = (
                    cell.joined(before) if check.kind is CheckKind.PING else before.joined(cell)
                )
    return tuple(
        Grid(
            network.name,
            str(network.cidr),
            _names(lab, network.name, found[network.name]),
            found[network.name],
        )
        for network in lab.networks
        if found[network.name]
    )


def _names(lab: Lab, network: str, cells: Mapping[Pair, Cell]) -> tuple[str, ...]:
    """The network's nodes, without those that a selection left out."""
    used = {name for pair in cells for name in pair}
    return tuple(node.name for node, _ in lab.members(network) if node.name in used)


def _cell(result: CheckResult) -> Cell:
    kind = result.check.kind
    rtt = result.rtt_ms if kind is CheckKind.PING else None
    if result.status is CheckStatus.PASSED:
        expected = ((CUT_HEAD, CUT), (EITHER_HEAD, MAYBE_CUT))
        word = next((word for head, word in expected if result.detail.startswith(head)), "")
        return Cell(result.status, word, rtt)
    if result.status is CheckStatus.ERROR:
        return Cell(result.status, "?", rtt)
    if result.detail.startswith(STILL_HEAD):
        return Cell(result.status, "not cut", rtt)
    if kind is CheckKind.PING and result.status is CheckStatus.FAILED:
        return Cell(result.status, "lost" if rtt is None else "some lost", rtt)
    return Cell(result.status, kind.value, rtt)


def spread(grid: Grid) -> tuple[list[str], list[str], Sequence[Pair]]:
    """Take apart what fails: nodes that reach nobody, nodes that nobody reaches, and the pairs left over."""
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
