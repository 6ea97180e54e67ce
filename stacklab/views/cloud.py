"""The proof of a cloud, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from stacklab.views.tables import table

if TYPE_CHECKING:
    from stacklab.workflow.cloud.smoke import SmokeStep

_HEADER = ("step", "result", "seconds", "detail")


def proof(steps: Sequence[SmokeStep]) -> list[Table | Text]:
    """Return a table of the steps of cloud.smoke, and below it all about those that failed."""
    rows = []
    clues = []
    for step in steps:
        result = Text("ok", "green") if step.is_ok else Text("failed", "red")
        first, _, more = step.detail.partition("\n")
        rows.append((step.name, result, f"{step.elapsed_s:.1f}", first))
        if more:
            clues.append(Text(f"\n{step.name}:\n{step.detail}"))
    return [table(_HEADER, rows), *clues]
