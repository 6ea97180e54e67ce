"""What benches that measure in rounds have found, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from stacklab.dev.costs import HEADER
from stacklab.views.tables import spaced, table
from stacklab.words import plural

if TYPE_CHECKING:  # types alone
    from stacklab.dev.bench_snapshot import SnapshotBench
    from stacklab.dev.peers.results import PeersBench

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


def peers_tables(measured: PeersBench) -> list[Table | str]:
    """Return the times of `bench.peers`, and what they are of."""
    from stacklab.dev.peers.results import HEADER as PEERS_HEADER

    return [
        f"lab {measured.lab}: {plural(measured.nodes, 'node')} of {measured.image}, "
        f"{measured.accelerator}, {plural(measured.rounds, 'round')}",
        "",
        table(PEERS_HEADER, measured.table()),
    ]
