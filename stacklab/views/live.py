"""Progress as it happens: a live table on a terminal, timestamped lines elsewhere."""

from __future__ import annotations

import sys
import threading
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
from stacklab.typed import as_typed

_PLAIN_EVERY_S = 10.0  # more would only fill a log
_HELD_EVERY_S = 1.0
_REFRESH_HZ = 4


@dataclass
class _ProgressRow:
    stage: str = ""  # "" between two stages
    started: float = 0.0  # time.monotonic()
    said: str = ""  # what it waits for
    done: list[str] = field(default_factory=list)  # stages that have ended, with their seconds
    failed: bool = False

    @property
    def mark(self) -> Text:
        """The sign before its name: failed, at work, or done."""
        if self.failed:
            return Text("✗", "red")
        if self.stage:
            return Text("▸", "cyan")
        return Text("✓", "green")


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
        progress = self._rows.setdefault(row, _ProgressRow())
        progress.stage = stage
        progress.started = time.monotonic()
        progress.said = ""

    def said(self, row: str, text: str) -> None:
        """See Listener."""
        self._rows.setdefault(row, _ProgressRow()).said = as_typed(printable(text))

    def noted(self, row: str, text: str) -> None:
        """See Listener."""
        self._live.console.print(Text(as_typed(printable(f"{row}: {text}")), "dim"))

    def ended(self, row: str, stage: str, elapsed_s: float, error: BaseException | None) -> None:
        """See Listener."""
        progress = self._rows[row]
        progress.stage = ""
        progress.failed = error is not None
        if progress.failed:
            # What it said last stays: it may be why.
            progress.done.append(f"{stage} failed")
            return
        progress.done.append(f"{stage} {elapsed_s:.1f}")
        progress.said = ""

    def render(self) -> Table:
        """Return the table as of now."""
        now = time.monotonic()
        title = Text(f"{printable(self._title)}  {now - self._began:.0f} s")
        table = Table(title=title, title_justify="left", expand=True, box=None)
        table.add_column("", width=1)
        table.add_column("", style="bold", no_wrap=True, ratio=2)
        table.add_column("stage", no_wrap=True, ratio=1)
        table.add_column("s", justify="right", no_wrap=True, width=5)
        table.add_column("", overflow="ellipsis", no_wrap=True, ratio=6)
        for name, row in list(self._rows.items()):  # other threads add rows meanwhile
            table.add_row(*_row_cells(name, row, now))
        return table


def _row_cells(name: str, row: _ProgressRow, now: float) -> tuple[Text | str, ...]:
    """Return the sign, the name, the stage, its seconds, and what the row waits for or has done."""
    elapsed = f"{now - row.started:.0f}" if row.stage else ""
    text = Text("  ".join(row.done), "dim")
    if row.stage and row.said:
        text = Text(row.said)
    return (
        row.mark,
        Text(printable(name)),
        Text(printable(row.stage)),
        elapsed,
        text,
    )


class PlainLines:
    """A line per stage that ended, and a word now and then from one that takes long.

    The word is always the last one: what is said too early for a line of its own is printed
    when its time comes, by a thread that runs inside the `with` block.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._printed_at: dict[str, float] = {}
        self._held: dict[str, str] = {}  # by row: what was said too early for a line
        self._lock = threading.Lock()
        self._left = threading.Event()
        self._printer = threading.Thread(target=self._print_each_second, daemon=True)

    def __enter__(self) -> PlainLines:
        self._printer.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._left.set()
        self._printer.join()

    def _print_each_second(self) -> None:
        while not self._left.wait(_HELD_EVERY_S):
            self.print_held()

    def print_held(self) -> None:
        """Print what was held back, where its time has come."""
        with self._lock:
            for row, text in tuple(self._held.items()):
                self._print_or_hold(row, text)

    def started(self, row: str, stage: str) -> None:
        """See Listener."""
        with self._lock:
            self._held.pop(row, None)
            self._printed_at[row] = time.monotonic()
            self._print_line(f"{row}: {stage}")

    def said(self, row: str, text: str) -> None:
        """See Listener."""
        with self._lock:
            self._print_or_hold(row, text)

    def _print_or_hold(self, row: str, text: str) -> None:
        now = time.monotonic()
        if now - self._printed_at.get(row, 0.0) < _PLAIN_EVERY_S:
            self._held[row] = text
            return
        self._held.pop(row, None)
        self._printed_at[row] = now
        self._print_line(f"{row}: {text}")

    def noted(self, row: str, text: str) -> None:
        """See Listener."""
        with self._lock:
            self._print_line(f"{row}: {text}")

    def ended(self, row: str, stage: str, elapsed_s: float, error: BaseException | None) -> None:
        """See Listener."""
        with self._lock:
            self._held.pop(row, None)
            self._print_line(f"{row}: {stage} {_how_it_ended(elapsed_s, error)}")

    def _print_line(self, text: str) -> None:
        # What a row says may be a node's words: none of it may move a cursor or forge a line.
        shown = as_typed(printable(text))
        print(f"{time.strftime('%H:%M:%S')} {shown}", file=self._stream, flush=True)


def _how_it_ended(elapsed_s: float, error: BaseException | None) -> str:
    if error is None:
        return f"done in {elapsed_s:.1f} s"
    if isinstance(error, LabError):
        # The whole message comes at the end of the command.
        first = error.message.partition("\n")[0]
        return f"failed after {elapsed_s:.1f} s: {first}"
    return f"ended after {elapsed_s:.1f} s: {type(error).__name__}"


def listener(title: str, stream: TextIO = sys.stderr) -> AbstractContextManager[Listener | None]:
    """Return what suits the stream: a live table for a person, lines for a log."""
    console = Console(file=stream)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveTable(console, title)
    return PlainLines(stream)


def quiet() -> AbstractContextManager[Listener | None]:
    """Return a listener that shows nothing, for commands that are over at once."""
    return nullcontext(None)
