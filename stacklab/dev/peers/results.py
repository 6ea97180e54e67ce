"""What was measured of all peers, as rows, and what failed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from stacklab.codec import JSON
from stacklab.dev.peers.race import Finish

# Of these rows the ratios are.
COLD = "lab.up --cold"
FROM_SNAPSHOT = "lab.up after lab.destroy"
HEADER = (
    "peer",
    "what, until sshd answers",
    "median s",
    "least",
    "most",
    "command s",
    f"times {COLD}",
    f"times {FROM_SNAPSHOT}",
    "note",
)

Row = tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class PeerRow:
    """How long one way to have nodes took, in each round."""

    peer: str
    what: str
    seconds: list[float] = field(default_factory=list)  # until sshd answered on all nodes
    command_s: list[float] = field(default_factory=list)  # until the command itself ended
    why_failed: str = ""

    @property
    def median(self) -> float | None:
        """Return the median of all rounds, in seconds; None if no round was finished."""
        return statistics.median(self.seconds) if self.seconds else None


@dataclass(slots=True, kw_only=True)
class PeersBench:
    """What was measured, and of what."""

    lab: str
    nodes: int
    image: str
    accelerator: str
    rounds: int
    rows: list[PeerRow] = field(default_factory=list)

    def expect(self, peer: str, what: str) -> None:
        """Add a row, so that it is there whatever becomes of the peer; "" is not a row."""
        if what:
            self.rows.append(PeerRow(peer=peer, what=what))

    def add(self, what: str, finish: Finish) -> None:
        """Add what a round has measured."""
        row = self.row(what)
        row.seconds.append(finish.ready_s)
        row.command_s.append(finish.command_s)

    def fail(self, what: str, why: str) -> None:
        """Note why a row has no more times; the first reason stays."""
        row = self.row(what)
        # The first line: the others are a program's output, which is in the log.
        row.why_failed = row.why_failed or why.partition("\n")[0]

    def has_failed(self, what: str) -> bool:
        """Return True if a row gets no more times."""
        return bool(self.row(what).why_failed)

    def row(self, what: str) -> PeerRow:
        """Return the row of that name, which is expected."""
        return next(row for row in self.rows if row.what == what)

    def table(self) -> Sequence[Row]:
        """Return the table's rows, see HEADER."""
        return [self._cells(row) for row in self.rows]

    def as_dict(self) -> dict[str, JSON]:
        """Return it for programs."""
        return {
            "lab": self.lab,
            "nodes": self.nodes,
            "image": self.image,
            "accelerator": self.accelerator,
            "rounds": self.rounds,
            "rows": [self._as_dict(row) for row in self.rows],
        }

    def _ratio(self, row: PeerRow, base_name: str) -> float | None:
        """Return how many times a row of stacklab it took; None where one was not measured."""
        bases = [base.median for base in self.rows if base.what == base_name]
        base = bases[0] if bases else None
        if row.median is None or not base:
            return None
        return row.median / base

    def _cells(self, row: PeerRow) -> Row:
        has_range = len(row.seconds) > 1
        return (
            row.peer,
            row.what,
            _number(row.median, 1),
            _number(min(row.seconds), 1) if has_range else "",
            _number(max(row.seconds), 1) if has_range else "",
            _number(statistics.median(row.command_s) if row.command_s else None, 1),
            _number(self._ratio(row, COLD), 2),
            _number(self._ratio(row, FROM_SNAPSHOT), 2),
            f"failed: {row.why_failed}" if row.why_failed else "",
        )

    def _as_dict(self, row: PeerRow) -> dict[str, JSON]:
        return {
            "peer": row.peer,
            "what": row.what,
            "seconds": list(row.seconds),
            "command_seconds": list(row.command_s),
            "median_s": row.median,
            "times_cold": self._ratio(row, COLD),
            "times_from_snapshot": self._ratio(row, FROM_SNAPSHOT),
            "failed": row.why_failed,
        }


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
