from __future__ import annotations

import io
import re
import threading
import time
from collections.abc import Iterator

import pytest
from rich.console import Console

from stacklab.errors import LabError
from stacklab.progress import Listener
from stacklab.views import live
from stacklab.views.live import LiveTable, PlainLines


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    made = Clock()
    monkeypatch.setattr("stacklab.views.live.time.monotonic", made.monotonic)
    yield made
    monkeypatch.undo()


def plain() -> tuple[PlainLines, io.StringIO]:
    stream = io.StringIO()
    return PlainLines(stream), stream


def lines(stream: io.StringIO) -> list[str]:
    """What was printed, without the time of day, which every line begins with."""
    found = stream.getvalue().splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in found)
    return [line[9:] for line in found]


def shown(table: LiveTable) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(table.render())
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


# --- lines


def test_a_stage_is_told_when_it_begins_and_ends(clock: Clock) -> None:
    view, stream = plain()
    view.started("compute1", "boot")
    view.ended("compute1", "boot", 12.34, None)
    assert lines(stream) == ["compute1: boot", "compute1: boot done in 12.3 s"]


def test_what_a_row_waits_for_is_told_now_and_then(clock: Clock) -> None:
    view, stream = plain()
    view.started("a", "boot")
    for _ in range(250):
        clock.now += 0.1
        view.said("a", f"at {clock.now:.0f}")
    assert lines(stream) == ["a: boot", "a: at 1010", "a: at 1020"]


def test_the_last_word_is_told_when_its_time_comes(clock: Clock) -> None:
    view, stream = plain()
    view.started("a", "services")
    for word in ("memcached", "keystone"):
        view.said("a", word)
    view.print_held()
    assert lines(stream) == ["a: services"]
    clock.now += 10
    view.print_held()
    view.print_held()
    assert lines(stream) == ["a: services", "a: keystone"]


def test_no_word_is_told_after_the_end_of_its_stage(clock: Clock) -> None:
    view, stream = plain()
    view.started("a", "services")
    view.said("a", "keystone")
    view.ended("a", "services", 1.0, None)
    clock.now += 10
    view.print_held()
    assert lines(stream) == ["a: services", "a: services done in 1.0 s"]


def test_what_is_held_is_printed_though_nothing_more_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "_PLAIN_EVERY_S", 0.05)
    monkeypatch.setattr(live, "_HELD_EVERY_S", 0.01)
    threads = threading.active_count()
    stream = io.StringIO()
    with PlainLines(stream) as view:
        view.started("a", "services")
        view.said("a", "keystone")
        deadline = time.monotonic() + 20
        while "keystone" not in stream.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert lines(stream) == ["a: services", "a: keystone"]
    assert threading.active_count() == threads


def test_rows_are_throttled_each_for_itself(clock: Clock) -> None:
    view, stream = plain()
    for _ in range(3):
        view.said("a", "x")
        view.said("b", "y")
    assert lines(stream) == ["a: x", "b: y"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            LabError("no space left\nmore of it", hint="df"),
            "host: disk failed after 1.0 s: no space left",
        ),
        (KeyboardInterrupt(), "host: disk ended after 1.0 s: KeyboardInterrupt"),
        (LabError(""), "host: disk failed after 1.0 s: "),
    ],
)
def test_a_stage_that_fails_tells_its_first_line(error: BaseException, told: str) -> None:
    view, stream = plain()
    view.ended("host", "disk", 1.0, error)
    assert lines(stream) == [told]


# --- the table


def table() -> LiveTable:
    return LiveTable(Console(file=io.StringIO()), "lab.up trio")


def test_every_row_shows_its_stage_and_for_how_long(clock: Clock) -> None:
    view = table()
    view.started("compute1", "boot")
    clock.now += 42
    view.said("compute1", "waiting for ssh")
    view.started("host", "checks")
    text = shown(view)
    assert text.splitlines()[0].strip() == "lab.up trio  42 s"
    assert re.search(r"▸ +compute1 +boot +42 +waiting for ssh", text)
    assert re.search(r"▸ +host +checks +0", text)


def test_a_stage_that_ended_shows_what_it_took_and_one_that_failed_so(clock: Clock) -> None:
    view = table()
    for row, error in (("compute1", None), ("compute2", LabError("no"))):
        view.started(row, "boot")
        view.ended(row, "boot", 30.04, error)
    text = shown(view)
    assert re.search(r"✓ +compute1 +boot 30\.0", text)
    assert re.search(r"✗ +compute2 +boot failed", text)


@pytest.mark.parametrize("odd", ["[/red]", "[red]x[/]", "a\nb", ":warning:", "["])
def test_odd_words_are_shown_and_nothing_is_made_of_them(odd: str) -> None:
    view = LiveTable(Console(file=io.StringIO()), f"lab.check {odd}")
    view.started(odd, odd)
    view.said(odd, odd)
    text = shown(view)
    assert odd.splitlines()[0] in text


HOSTILE = "said \x1b[1A\x1b[2K\x1b]52;c;ZXZpbA==\x07\u202eevil\r12:00:00 node2: forged"


def test_a_node_s_words_move_no_cursor_in_the_table() -> None:
    view = LiveTable(Console(file=io.StringIO()), f"lab.check {HOSTILE}")
    view.started(HOSTILE, HOSTILE)
    view.said(HOSTILE, HOSTILE)
    view.noted(HOSTILE, HOSTILE)
    noted = view._live.console.file.getvalue()  # type: ignore[attr-defined]
    for text in (shown(view), noted):
        assert "evil" in text
        assert all(c.isprintable() or c == "\n" for c in text)


def test_a_node_s_words_forge_no_line_of_a_log() -> None:
    view, stream = plain()
    view.started("node1", HOSTILE)
    view.said("node2", HOSTILE)
    view.noted("node1", HOSTILE)
    view.ended("node1", "boot", 1.0, LabError(HOSTILE))
    printed = stream.getvalue()
    assert all(c.isprintable() or c == "\n" for c in printed)
    ours = [line for line in printed.splitlines() if not line.startswith("    ")]
    assert len(ours) == 4
    assert not any(line.startswith("12:00:00 node2: forged") for line in ours)


def test_a_row_that_another_thread_adds_meanwhile_does_not_end_the_view() -> None:
    view = table()

    class Meddling(str):
        """Text that, while it is shown, makes another row, as another thread would."""

        def translate(self, table: object) -> str:
            view.said(f"row {len(shown_rows)}", "x")
            shown_rows.append(self)
            return str(self)

    shown_rows: list[str] = []
    for row in ("one", "two"):
        view.started(row, "boot")
        view.said(row, Meddling("waiting"))
    shown(view)
    assert shown_rows


def test_a_view_goes_up_and_down_as_a_context() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with LiveTable(console, "lab.up trio") as view:
        view.started("host", "checks")
    assert "checks" in console.file.getvalue()  # type: ignore[attr-defined]


# --- which


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_lines_and_a_terminal_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    assert isinstance(live.listener("t", io.StringIO()), PlainLines)
    assert isinstance(live.listener("t", Terminal()), LiveTable)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(live.listener("t", Terminal()), PlainLines)


def test_quiet_is_no_listener_at_all() -> None:
    with live.quiet() as nobody:
        assert nobody is None


def test_both_are_listeners() -> None:
    listeners: list[Listener] = [plain()[0], table()]
    assert len(listeners) == 2
