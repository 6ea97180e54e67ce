"""Results of `bench.check`, as a table and as a chart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pygal
from rich.table import Table

from stacklab.dev.check_cost import NETWORKS, CheckCost
from stacklab.views import saving
from stacklab.views.tables import table

# The goals for a lab of 200 nodes.
WANTED_S = 60.0
WANTED_MIB = 300.0


def costs_table(results: Sequence[CheckCost]) -> Table:
    """Make a table with a row for each number of nodes."""
    rows = [
        (
            cost.nodes,
            cost.sessions,
            cost.checks,
            f"{cost.elapsed_s:.2f}",
            f"{cost.elapsed_s / cost.checks * 1e6:.0f}",
            f"{cost.peak_mib:.0f}",
        )
        for cost in results
    ]
    return table(("nodes", "sessions", "checks", "seconds", "µs per check", "MiB at most"), rows)


def draw_chart(results: Sequence[CheckCost]) -> str:
    """Draw time and memory by the number of nodes, in percent of the goals for 200 nodes."""
    chart = pygal.XY(
        title=f"a check of simulated nodes on {NETWORKS} networks",
        x_title="nodes",
        y_title="percent of what 200 nodes may take",
        width=800,
        height=450,
        range=(0, 100),
        legend_at_bottom=True,
        js=[],  # the script for tooltips would be loaded from a web site
        style=pygal.style.CleanStyle,
    )
    times: list[tuple[int, float]] = []
    memory: list[tuple[int, float]] = []
    for cost in results:
        times.append((cost.nodes, cost.elapsed_s / WANTED_S * 100))
        memory.append((cost.nodes, cost.peak_mib / WANTED_MIB * 100))
    chart.add(f"time, of {WANTED_S:.0f} s", times)
    chart.add(f"memory, of {WANTED_MIB:.0f} MiB", memory)
    return str(chart.render(is_unicode=True))


def write_chart(results: Sequence[CheckCost], path: Path) -> None:
    """Write the chart; raise LabError, with the path, if it can't be written."""
    saving.save(str(path), (draw_chart(results),))
