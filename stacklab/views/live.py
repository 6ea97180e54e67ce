"""Progress as it happens: a live table on a terminal, timestamped lines elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from stacklab.errors import LabError
from stacklab.foreign import printable
from stacklab.progress import Listener

_PLAIN_EVERY_S = 10.0  # a log has no use for more
_REFRESH_HZ = 4


@dataclass
class _ProgressRow:
    stage: str = ""
    started: float = 0.0
    said: str = ""
    done: list[str] = field(default_factory=list)
    failed: bool = False


class LiveTable:
    """A row per node, image and host: its stage, how long that has taken, what it waits for."""

    def __init__(self, console: Console, title: str) -> None:
        self._rows: dict[str, _ProgressRow] = {}
        self._title = title
        self._began = time.monotonic()
        self._live = Live(
            console=console, refresh_per_second=_REFRESH_HZ, get_renderable=self.render
        )

    def __enter__(self) -> LiveTable:
        self._live.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._live.stop()

    def started(self, row: str, stage: str) -> None:
        """See Listener."""
        found = self._rows.setdefault(row, _ProgressRow())
        found.stage, found.started, found.said = stage, time.monotonic(), ""

    def said(self, row: str, text: str) -> None:
        """See Listener."""
        self._rows.setdefault(row, _ProgressRow()).said = printable(text)

    def noted(self, row: str, text: str) -> None:
        """See Listener."""
        self._live.console.print(Text(printable(f"{row}: {text}"), "dim"))

    def ended(self, row: str, stage: str, elapsed_s: float, error: BaseException | None) -> None:
        """See Listener."""
        found = self._rows[row]
        found.stage, found.failed = "", error is not None
        found.done.append(f"{stage} {elapsed_s:.1f}" if error is None else f"{stage} failed")
        if error is None:
            found.said = ""

    def render(self) -> Table:
        """The table as of now."""
        now = time.monotonic()
        title = Text(f"{printable(self._title)}  {now - self._began:.0f} s")
        table = Table(title=title, title_justify="left", expand=True, box=None)
        table.add_column("", width=1)
        table.add_column("", style="bold", no_wrap=True, ratio=2)
        table.add_column("stage", no_wrap=True, ratio=1)
        table.add_column("s", justify="right", no_wrap=True, width=5)
        table.add_column("", overflow="ellipsis", no_wrap=True, ratio=6)
        for name, row in list(self._rows.items()):  # other threads add rows meanwhile
            mark = (
                Text("✗", "red")
                if row.failed
                else Text("▸", "cyan")
                if row.stage
                else Text("✓", "green")
            )
            elapsed = f"{now - row.started:.0f}" if row.stage else ""
            text = Text(row.said) if row.stage and row.said else Text("  ".join(row.done), "dim")
            table.add_row(mark, Text(printable(name)), Text(printable(row.stage)), elapsed, text)
        return table


class PlainLines:
    """A line per stage that ended, and a word now and then from one that takes long."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._told: dict[str, float] = {}

    def __enter__(self) -> PlainLines:
        return self

    def __exit__(self, *_exc: object) -> None:
        return None

    def started(self, row: str, stage: str) -> None:
        """See Listener."""
        self._told[row] = time.monotonic()
        self._print_line(f"{row}: {stage}")

    def said(self, row: str, text: str) -> None:
        """See Listener."""
        now = time.monotonic()
        if now - self._told.get(row, 0.0) >= _PLAIN_EVERY_S:
            self._told[row] = now
            self._print_line(f"{row}: {text}")

    def noted(self, row: str, text: str) -> None:
        """See Listener."""
        self._print_line(f"{row}: {text}")

    def ended(self, row: str, stage: str, elapsed_s: float, error: BaseException | None) -> None:
        """See Listener."""
        if error is None:
            self._print_line(f"{row}: {stage} done in {elapsed_s:.1f} s")
        elif isinstance(error, LabError):
            first = error.message.partition("\n")[0]
            self._print_line(f"{row}: {stage} failed after {elapsed_s:.1f} s: {first}")
        else:
            self._print_line(
                f"{row}: {stage} ended after {elapsed_s:.1f} s: {type(error).__name__}"
            )

    def _print_line(self, text: str) -> None:
        # What a row says may be a node's words: none of it may move a cursor or forge a line.
        print(f"{time.strftime('%H:%M:%S')} {printable(text)}", file=self._stream, flush=True)


def listener(title: str, stream: TextIO = sys.stderr) -> AbstractContextManager[Listener | None]:
    """What suits the stream: a live table where a person looks, lines where a log does."""
    console = Console(file=stream)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveTable(console, title)
    return PlainLines(stream)


def quiet() -> AbstractContextManager[Listener | None]:
    """No progress at all, for commands that are over at once."""
    return nullcontext(None)
