"""The page of trace.boot --out, as a user meets it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stacklab.views.page import trace as trace_page
from stacklab.workflow.trace.tracing import Trace
from tests.browser.conftest import Page
from tests.unit.views.fake_traces import boot

Shown = Callable[[Trace], Page]


@pytest.fixture
def shown(page: Page) -> Shown:
    def show(trace: Trace) -> Page:
        page.path.write_text(trace_page.page(trace))
        page.driver.get(page.path.as_uri())
        return page

    return show


def width_of(page: Page, title: str) -> float:
    """How wide the bar of a step is, as a share of its track."""
    script = """
    const row = [...document.querySelectorAll('.row')].find(
        each => each.querySelector('.title')?.textContent === arguments[0]);
    return row.querySelector('.bar').offsetWidth / row.querySelector('.track').offsetWidth;
    """
    return float(page.js(script, title))


def test_bars_are_as_long_as_their_steps(shown: Shown) -> None:
    page = shown(boot())
    assert width_of(page, "nova-compute begins to build it") == pytest.approx(4.0 / 5.8, abs=0.01)
    assert width_of(page, "the scheduler takes it up") == pytest.approx(0.3 / 5.8, abs=0.01)


def test_labels_stay_within_the_page(shown: Shown) -> None:
    page = shown(boot())
    script = """
    const box = document.querySelector('.timeline').getBoundingClientRect();
    return [...document.querySelectorAll('.label')].filter(
        each => each.getBoundingClientRect().right > box.right).length;
    """
    assert page.js(script) == 0
    assert page.js("return document.body.scrollWidth <= innerWidth") is True


def test_it_follows_the_readers_scheme(shown: Shown) -> None:
    page = shown(boot())
    light = page.background()
    page.emulate(prefers_color_scheme="dark")
    assert page.background() != light


def test_a_narrow_screen_scrolls_the_timeline_alone(shown: Shown) -> None:
    page = shown(boot())
    page.resize(390)
    assert page.js("return document.documentElement.scrollWidth <= innerWidth") is True


def test_a_request_without_steps_has_a_row_for_each_service(shown: Shown) -> None:
    page = shown(boot(kind=""))
    assert page.texts(".row .title") == [
        "nova-api",
        "nova-scheduler",
        "nova-compute",
        "neutron-server",
        "ovn-controller",
    ]
