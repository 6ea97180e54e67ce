"""Tables for people, on stdout; data for machines is JSON, made elsewhere."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text


def console() -> Console:
    """Return stdout, whose lines are not broken: commands are to be copied.

    Piped, it is as wide as its lines need.
    """
    width = None if sys.stdout.isatty() else max(160, shutil.get_terminal_size().columns)
    return Console(width=width, soft_wrap=True)


def table(
    header: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None
) -> Table:
    """Return a plain table; a cell that is a Text keeps its style.

    What looks like rich's markup in other cells is text like any other.
    """
    shown_title = Text(title, style="bold") if title is not None else None
    made = Table(
        title=shown_title, title_justify="left", box=None, pad_edge=False, header_style="bold"
    )
    for column in header:
        made.add_column(Text(column), overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    return made


def spaced(tables: Iterable[Table]) -> list[Table | str]:
    """Return the tables, with an empty line after each."""
    spaced_tables: list[Table | str] = []
    for one in tables:
        spaced_tables += [one, ""]
    return spaced_tables
