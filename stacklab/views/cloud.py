"""The proof of a cloud, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from stacklab.views.tables import table

if TYPE_CHECKING:
    from stacklab.workflow.cloud.smoke import SmokeStep

_HEADER = ("step", "result", "seconds", "detail")


def steps_table(steps: Sequence[SmokeStep]) -> Table:
    """Return a table of the steps of cloud.smoke, in their order."""
    rows = []
    for step in steps:
        result = Text("ok", "green") if step.is_ok else Text("failed", "red")
        rows.append((step.name, result, f"{step.elapsed_s:.1f}", step.detail))
    return table(_HEADER, rows)
