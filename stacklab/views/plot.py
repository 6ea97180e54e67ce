"""What `bench.check` measured, as a table and as a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pygal
from rich.table import Table

from stacklab.checks import report
from stacklab.dev.bench_check import NETWORKS, Cost
from stacklab.views.tables import table

WANTED_S, WANTED_MIB = 60.0, 300.0  # of 200 nodes


def costs(found: Sequence[Cost]) -> Table:
    """A row per size."""
    rows = [
        (
            each.nodes,
            each.sessions,
            each.checks,
            f"{each.elapsed_s:.2f}",
            f"{each.elapsed_s / each.checks * 1e6:.0f}",
            f"{each.peak_mib:.0f}",
        )
        for each in found
    ]
    return table(("nodes", "sessions", "checks", "seconds", "µs per check", "MiB at most"), rows)


def svg(found: Sequence[Cost]) -> str:
    """Time and memory by the number of nodes, each in percent of what 200 nodes may take."""
    chart = pygal.XY(
        title=f"a check of simulated nodes on {NETWORKS} networks",
        x_title="nodes",
        y_title="percent of what 200 nodes may take",
        width=800,
        height=450,
        range=(0, 100),
        legend_at_bottom=True,
        js=[],  # its tooltips would be fetched from a web site
        style=pygal.style.CleanStyle,
    )
    chart.add(
        f"time, of {WANTED_S:.0f} s",
        [(each.nodes, each.elapsed_s / WANTED_S * 100) for each in found],
    )
    chart.add(
        f"memory, of {WANTED_MIB:.0f} MiB",
        [(each.nodes, each.peak_mib / WANTED_MIB * 100) for each in found],
    )
    return str(chart.render(is_unicode=True))


def write(found: Sequence[Cost], path: Path) -> None:
    """Write the drawing; raises LabError naming a path that can't be written."""
    report.save(str(path), (svg(found),))
