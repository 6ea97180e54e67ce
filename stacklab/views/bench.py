"""What benches that measure in rounds have found, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from stacklab.dev.costs import HEADER
from stacklab.views.tables import spaced, table
from stacklab.words import plural

if TYPE_CHECKING:  # a type alone
    from stacklab.dev.bench_snapshot import SnapshotBench

_SIZE_HEADER = ("node", "memory MiB", "disk MiB", "raw MiB", "wanted")
_MOST_MIB = 260


def snapshot_tables(measured: SnapshotBench) -> list[Table | str]:
    """Return the times of `bench.snapshot`, and what a snapshot takes of each node."""
    sizes = [
        (
            size.node,
            f"{size.memory_mib:.0f}",
            f"{size.disk_mib:.0f}",
            f"{size.raw_mib:.0f}",
            f"memory and disk at most {_MOST_MIB}",
        )
        for size in measured.sizes
    ]
    return [
        f"lab {measured.lab}, {plural(measured.rounds, 'round')}",
        "",
        *spaced([table(HEADER, measured.costs.rows()), table(_SIZE_HEADER, sizes)]),
    ]
