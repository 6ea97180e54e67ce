"""Tables for people, on stdout; data for machines is JSON, made elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from stacklab.typed import IN_CHECKOUT, as_typed, program


class _StdoutConsole(Console):
    """Rich's console, which leaves a pipe without a reader to us: rich would end with 1."""

    def on_broken_pipe(self) -> None:
        """Raise what is being handled, the BrokenPipeError."""
        raise


def console() -> Console:
    """Return stdout, whose lines are not broken: commands are to be copied.

    Piped, it is as wide as its lines need.
    """
    if sys.stdout.isatty():
        return _StdoutConsole(soft_wrap=True)
    # Without a terminal, get_terminal_size() has COLUMNS, or 80.
    width = max(160, shutil.get_terminal_size().columns)
    return _StdoutConsole(width=width, soft_wrap=True)


def table(
    header: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None
) -> Table:
    """Return a plain table; a cell that is a Text keeps its style.

    What looks like rich's markup in other cells is text like any other.
    """
    plain_table = Table(
        title=Text(title, style="bold") if title is not None else None,
        title_justify="left",
        box=None,
        pad_edge=False,
        header_style="bold",
    )
    for column in header:
        # Folded, not cut: what does not fit may be what is looked for.
        plain_table.add_column(Text(column), overflow="fold")
    for row in rows:
        cells = [_as_text(cell) for cell in row]
        plain_table.add_row(*cells)
    return plain_table


def _as_text(cell: object) -> Text:
    """Return a cell as it is shown; its commands are as they are typed here."""
    if isinstance(cell, Text):
        return _text_as_typed(cell)
    return Text(as_typed(str(cell)))


def as_typed_here(renderable: RenderableType) -> RenderableType:
    """Return what is shown with its commands as they are typed here; tables have it done."""
    match renderable:
        case str():
            return as_typed(renderable)
        case Text():
            return _text_as_typed(renderable)
        case Group():
            return Group(*map(as_typed_here, renderable.renderables))
    return renderable


def _text_as_typed(text: Text) -> Text:
    """Return the same for a text, whose parts keep their styles."""
    if as_typed(text.plain) == text.plain:
        return text
    pieces = text.split(IN_CHECKOUT, allow_blank=True)
    return text.blank_copy(program()).join(pieces)


def mebibytes(count: int) -> str:
    """Return a number of bytes as people compare sizes: `608 MiB`."""
    return f"{count / 2**20:.0f} MiB"


def moment(when: float) -> str:
    """Return a Unix time by this host's clock, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))


def spaced(tables: Iterable[Table]) -> list[Table | str]:
    """Return the tables, with an empty line after each."""
    spaced_tables: list[Table | str] = []
    for one in tables:
        spaced_tables += [one, ""]
    return spaced_tables
