"""Breakpoints that were hit, for people: all of it is a node's words."""

from __future__ import annotations

from rich.console import Console

from stacklab.tools.dap import Frame, Stop
from stacklab.views.hacking import debug as views
from stacklab.workflow.debug.breaking import Hit
from tests.hostile.test_tasks import EVERYTHING
from tests.unit.workflow.debug.test_debug import service


def shown(hit: Hit) -> str:
    console = Console(width=200, record=True)
    with console.capture() as capture:
        for part in views.hit(hit):
            console.print(part)
    return capture.get()


def make_hit(stop: Stop) -> Hit:
    return Hit(service=service("nova-api"), path="/x/nova/a.py", line=7, elapsed_s=1.5, stop=stop)


def test_the_stack_and_the_values_are_shown() -> None:
    frames = tuple(Frame(function=f"f{n}", path="/x/nova/a.py", line=n) for n in range(30))
    text = shown(make_hit(Stop(frames=frames, values=(("1 + 1", "2"),))))
    assert "nova-api on controller has stopped at /x/nova/a.py:7 after 1.5 s" in text
    assert "f19" in text
    assert "f20" not in text
    assert "and 10 more" in text
    assert "1 + 1" in text


def test_whatever_a_node_calls_its_functions_and_values_stays_words() -> None:
    frame = Frame(function=EVERYTHING, path=EVERYTHING, line=1)
    text = shown(make_hit(Stop(frames=(frame,), values=(("x", EVERYTHING * 100),))))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "##vso[" not in text
    assert len(text) < 20_000
