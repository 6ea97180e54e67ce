"""Traces, for people, for programs, and as a page."""

from __future__ import annotations

import json

from rich.console import Console

from stacklab.views.hacking import trace as views
from stacklab.views.page import trace as page
from stacklab.workflow.trace.lines import LogLine
from stacklab.workflow.trace.tracing import Trace
from tests.unit.views.fake_traces import BEGAN, LINES, REQUEST, boot


def shown(trace: Trace) -> str:
    console = Console(width=220)
    with console.capture() as capture:
        for part in views.shown(trace, "openstack-3node"):
            console.print(part)
    return capture.get()


def row(text: str, title: str) -> str:
    (found,) = [line for line in text.splitlines() if title in line]
    return found


def test_each_step_has_its_place_time_and_state() -> None:
    text = shown(boot())
    scheduling = row(text, "the scheduler takes it up")
    for word in ("nova-scheduler on controller", "+1.100", "0.300", "BUILD building/scheduling"):
        assert word in scheduling
    assert "ACTIVE active/None" in row(text, "the client sees it ACTIVE")
    assert "4.000" in row(text, "nova-compute begins to build it")


def test_a_step_that_was_not_seen_says_why() -> None:
    text = shown(boot())
    assert "no line" in row(text, "placement lists hosts that have room")
    assert "written at level DEBUG only" in row(text, "the conductor asks the scheduler for a host")
    assert "./invoke trace.detail openstack-3node" in text


def test_what_a_service_says_of_itself_is_held_against_the_times_of_its_lines() -> None:
    assert "build took 4.01 s by its own words, 4.00 s by the times of its lines (-10 ms)" in shown(
        boot()
    )


def test_clocks_that_were_put_right_are_told() -> None:
    assert "clocks were put right by: compute1 -0.031 s (±0.012)" in shown(boot())


def test_a_request_without_known_steps_is_its_services_and_lines() -> None:
    text = shown(boot(kind=""))
    assert "nova-scheduler on controller" in row(text, "+1.100")
    assert "something odd" in text
    # DEBUG is for the page and for --json.
    assert "Selected host" not in text


def test_json_has_all_of_it() -> None:
    read = json.loads(json.dumps(views.as_json(boot(failed="No valid host"))))
    assert read["failed"] == "No valid host"
    assert len(read["lines"]) == len(LINES)
    (step,) = [each for each in read["steps"] if each["title"] == "the scheduler takes it up"]
    assert step["at"] == BEGAN + 1.1
    assert step["line"].startswith("Starting to schedule")


def test_the_page_has_a_bar_for_what_ended_and_a_dot_for_what_did_not() -> None:
    text = page.page(boot())
    assert text.count('class="bar"') == 4  # token, request, scheduling, building
    assert REQUEST in text
    assert "width: 68.97%" in text  # 4 of 5.8 s: the building


def test_the_page_escapes_what_a_node_wrote() -> None:
    hostile = LogLine(at=BEGAN + 1, node="n", service="x", message="</td><script>alert(1)</script>")
    text = page.page(boot(lines=(hostile,), kind=""))
    assert "<script" not in text
    assert "&lt;script&gt;" in text
