"""The page of lab.check --html, as a user meets it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import pytest

from stacklab.checks.expect import Fault, FaultKind
from stacklab.checks.outcome import Outcome
from stacklab.checks.result import CheckKind, CheckResult, CheckStatus, Layer
from tests.browser.conftest import Page
from tests.unit.views.fake_results import (
    HOSTILE,
    count_of_layer,
    dead,
    down,
    expecting,
    many,
    of_each_kind,
    off,
    ran,
)

TOTAL = len(ran().results)

Opened = Callable[[Outcome], Page]
TAB, ENTER, ESCAPE = "\ue004", "\ue007", "\ue00c"
LEFT, UP, RIGHT, DOWN = "\ue012", "\ue013", "\ue014", "\ue015"
LOST = "table[data-network=net1] td[data-from=controller][data-to=compute1]"


def test_a_click_on_a_cell_shows_its_evidence(opened: Opened) -> None:
    page = opened(ran(spoil=of_each_kind))
    assert not page.is_open()
    page.click(LOST)
    assert page.texts("#evidence-title") == ["controller -> compute1 on net1"]
    assert page.texts("#evidence-body .problem:first-child pre") == [
        "./invoke lab.exec trio --node controller -- 'fping -C 3 10.20.0.12'",
        "10.20.0.12 : - - -",
        "route  10.20.0.12 dev eth1 src 10.20.0.11\narp    10.20.0.12 dev eth1 FAILED\n"
        "host   vnet5 is up",
    ]
    assert len(page.texts("#evidence-body .problem")) == 6  # all that was tried that way
    page.press(ESCAPE)
    assert not page.is_open()
    page.click("table[data-network=net0] td[data-from=controller][data-to=compute2]")
    assert "slowest round trip: 41.5 ms" in page.texts("#evidence-body p")


def test_the_keyboard_is_enough(opened: Opened) -> None:
    page = opened(ran(spoil=of_each_kind))
    focused = "return document.activeElement.dataset.from + ' ' + document.activeElement.dataset.to"
    for _ in range(40):
        page.press(TAB)
        if page.js("return document.activeElement.matches('td.cell')"):
            break
    assert page.js(focused) == "controller compute2"  # the first that fails on the first network
    page.press(ENTER)
    assert page.texts("#evidence-title") == ["controller -> compute2 on net0"]
    page.press(ESCAPE)
    assert page.js(focused) == "controller compute2"
    page.press(DOWN)
    assert page.js(focused) == "compute1 compute2"
    page.press(LEFT)  # over the empty cell
    assert page.js(focused) == "compute1 controller"
    page.press(UP, UP, RIGHT)
    assert page.js(focused) == "compute1 compute2"
    page.press(TAB)
    assert page.js(focused) == "controller compute1"  # the next matrix


@pytest.mark.parametrize("how", ["click", "keyboard"])
def test_a_node_shows_its_checks_the_bad_ones_first(opened: Opened, how: str) -> None:
    page = opened(ran(spoil=of_each_kind))
    if how == "click":
        page.click("svg .node[data-node=compute2]")
    else:
        page.js("document.querySelector('svg .node[data-node=compute2]').focus()")
        page.press(ENTER)
    assert page.texts("#evidence-title") == ["compute2"]
    styles = page.js(
        "return [...document.querySelectorAll('#evidence-body article')].map(a => a.classList[1])"
    )
    assert styles[:5] == ["failed", "error", "error", "error", "passed"]


def test_what_is_bad_is_red_in_the_picture(opened: Opened) -> None:
    page = opened(ran(many(6), off("compute3")))
    bad = page.js(
        "return [...document.querySelectorAll('svg g.bad')].map(each => each.dataset.node)"
    )
    assert bad == ["compute3"]
    assert (
        page.js("return document.querySelectorAll('svg line.bad').length") == 2
    )  # its NICs, not all that lost it
    stroke, failed = page.js(
        "return [getComputedStyle(document.querySelector('svg line.bad')).stroke,"
        "getComputedStyle(document.querySelector('header .sign')).backgroundColor]"
    )
    assert stroke == failed


def test_all_checks_are_listed_in_the_words_of_every_report(opened: Opened) -> None:
    found = ran(spoil=of_each_kind)
    page = opened(found)
    assert page.texts(".row") == []  # made when they are opened
    listed = {
        layer: [r.check.title for r in found.results if r.check.kind.layer == layer]
        for layer in ("nodes", "pairs", "isolation")
    }
    for layer, titles in listed.items():
        page.click(f"details[data-layer={layer}] summary")
        assert page.texts(f"details[data-layer={layer}] .what") == titles
    page.click("details[data-layer=nodes] .row:first-of-type")
    assert page.texts("#evidence-title") == [listed["nodes"][0]]


def test_a_long_list_comes_a_hundred_at_a_time(opened: Opened) -> None:
    found = ran(many(5))
    pairs = count_of_layer(found, Layer.PAIRS)
    page = opened(found)
    page.click("details[data-layer=pairs] summary")
    assert len(page.texts(".row")) == 100
    assert page.texts(".more") == [f"100 more of {pairs - 100}"]
    page.click(".more")
    page.click(".more")
    assert len(page.texts(".row")) == pairs
    assert page.texts(".more") == []


def test_only_what_did_not_pass(opened: Opened) -> None:
    found = ran(spoil=of_each_kind)
    pairs = count_of_layer(found, Layer.PAIRS)
    page = opened(found)
    page.click("details[data-layer=pairs] summary")
    assert len(page.texts(".row")) == pairs
    page.click("#only")
    assert len(page.texts(".row")) == 4
    assert page.texts("table[data-network=net1] tbody th") == ["controller", "compute1"]
    page.click("#only")
    assert len(page.texts(".row")) == pairs
    assert len(page.texts("table[data-network=net1] tbody th")) == 3


def test_it_is_dark_where_the_reader_wants_it_and_the_switch_turns_it_round(page: Page) -> None:
    light, dark = "rgb(255, 255, 255)", "rgb(13, 17, 23)"
    page.emulate(prefers_color_scheme="light")
    page.open(ran())
    assert page.background() == light
    page.emulate(prefers_color_scheme="dark")
    assert page.background() == dark
    assert page.texts("#theme") == ["light"]
    page.click("#theme")
    assert page.background() == light
    page.click("#theme")
    assert page.background() == dark


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(page: Page, scheme: str) -> None:
    page.emulate(prefers_color_scheme=scheme)
    page.open(ran(spoil=of_each_kind))
    page.click("details[data-layer=nodes] summary")
    pairs = page.js(
        "const of = (e) => getComputedStyle(e);"
        "const behind = (e) => of(e).backgroundColor !== 'rgba(0, 0, 0, 0)' || !e.parentElement"
        "  ? of(e).backgroundColor : behind(e.parentElement);"
        "return [...document.querySelectorAll('.key, .pill, .dim:not(text), .count, td.cell, pre,"
        " a, button, h3')]"
        "  .filter(e => e.textContent.trim() && of(e).backgroundImage === 'none')"
        "  .map(e => [e.className + ' ' + e.textContent.slice(0, 20), of(e).color, behind(e)])"
    )
    assert len(pairs) > 40
    assert [(name, ink, ground) for name, ink, ground in pairs if contrast(ink, ground) < 4.5] == []


def contrast(ink: str, ground: str) -> float:
    """As WCAG 2 defines it; 4.5 is what small text needs."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [
            part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        ]
        return sum(
            weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True)
        )

    low, high = sorted((luminance(ink), luminance(ground)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("width", [320, 360, 400])
@pytest.mark.parametrize("size", [3, 12, 60])
def test_a_phone_scrolls_matrices_not_the_page(page: Page, width: int, size: int) -> None:
    page.resize(width)
    page.open(ran(many(size), lambda result: dead("compute2")(of_each_kind(result))))
    assert page.js("return document.documentElement.scrollWidth") == width
    assert page.js("return [...document.querySelectorAll('.picture, .heat, canvas')].length") == 3
    inner = page.js(
        "return [...document.querySelectorAll('.scroll')].some(e => e.scrollWidth > e.clientWidth)"
    )
    assert inner or size == 3
    page.js("document.querySelectorAll('details').forEach(each => { each.open = true })")
    page.js(
        "document.querySelector('svg .node').dispatchEvent("
        "new MouseEvent('click', {bubbles: true}))"
    )
    assert page.is_open()
    box = page.js(
        "const b = document.getElementById('evidence').getBoundingClientRect();"
        " return [b.left, b.right]"
    )
    assert box[0] >= 0
    assert box[1] <= width
    assert page.js("return document.documentElement.scrollWidth") == width


def test_what_nodes_wrote_is_text(opened: Opened) -> None:
    page = opened(ran(spoil=of_each_kind))
    hostile = HOSTILE.rstrip(" \u202e")
    assert f"refused {hostile}" in page.texts("#problems p")
    page.click("table[data-network=net0] td[data-from=compute2][data-to=compute1]")
    assert f"refused {hostile}" in page.texts("#evidence-body p")
    assert hostile in page.texts("#evidence-body pre")
    page.press(ESCAPE)
    page.click("details[data-layer=pairs] summary")
    assert f"refused {hostile}" in page.texts(".row .why")
    assert page.driver.title == f"✗ trio: 4 of {TOTAL} checks failed"
    assert page.js("return document.images.length") == 0
    assert page.js("return document.scripts.length") == 2  # the data and ours


def test_no_script_but_ours_would_run(opened: Opened) -> None:
    page = opened(ran())
    page.js(
        "const s = document.createElement('script'); s.textContent = 'window.foreign = 1';"
        " document.body.append(s)"
    )
    assert page.js("return window.foreign") is None
    page.js("const i = new Image(); i.src = 'https://example.org/x.png'; document.body.append(i)")
    refused = page.complaints()
    assert len(refused) == 2
    assert all("Content Security Policy" in each for each in refused)
    page.driver.get("about:blank")  # it has asked, and was refused


def test_a_link_of_a_cause_shows_that_check_s_evidence(opened: Opened) -> None:
    page = opened(ran(spoil=down("compute1", "net1", "eth1")))
    assert page.texts("#causes h3") == ["cause eth1 is down on compute1"]
    assert page.texts("#problems") == []
    assert page.texts("#causes a") == []  # in a list that is closed
    page.click("#causes summary")
    links = page.texts("#causes a")
    assert len(links) == 12
    assert page.texts("#causes li span")[0] == "no reply to 3 pings"  # the cause stands above
    page.click("#causes li:nth-child(2) a")
    assert (
        page.texts("#evidence-title")
        == [links[1]]
        == ["controller eth1 -> compute1 10.20.0.12 (net1): mtu"]
    )
    assert page.texts("#evidence-body .problem h3") == [f"failed {links[1]}"]
    assert "cause: eth1 is down on compute1" in page.texts("#evidence-body pre.evidence")[0]
    page.press(ESCAPE)
    page.click("#only")  # makes lists of checks anew, not those of causes
    assert page.texts("#causes a") == links


def test_what_is_cut_as_expected_is_painted_neither_bad_nor_good(opened: Opened) -> None:
    lab = many(60)
    fault = Fault(kind=FaultKind.LINK_DOWN, node="compute1", device="eth1", network="net1")
    page = opened(ran(lab, expecting(lab, fault)))
    page.js("document.querySelector('canvas[data-network=net1]').focus()")
    page.press(DOWN, RIGHT, RIGHT)
    assert page.texts("#now-2") == ["compute1 -> compute2: cut, as expected"]
    pixel = page.js(
        "const c = document.querySelector('canvas[data-network=net1]'), s = c.width / 60;"
        "return [...c.getContext('2d').getImageData(5.4 * s, 1.4 * s, 1, 1).data]"
    )
    assert pixel == [139, 148, 158, 255]


def test_a_matrix_of_many_nodes_is_painted_and_can_be_clicked(opened: Opened) -> None:
    page = opened(ran(many(60), of_each_kind))
    page.js(
        "const c = document.querySelector('canvas[data-network=net1]');"
        "const b = c.getBoundingClientRect(), s = b.width / 60;"
        "const how = {bubbles: true, clientX: b.left + 1.5 * s, clientY: b.top + 0.5 * s};"
        "c.dispatchEvent(new PointerEvent('pointermove', how));"
        " c.dispatchEvent(new MouseEvent('click', how))"
    )
    assert page.texts("#evidence-title") == ["controller -> compute1 on net1"]
    assert "10.20.0.12 : - - -" in page.texts("#evidence-body pre")
    assert page.texts("#now-2") == ["controller -> compute1: failed"]
    page.press(ESCAPE)
    page.js("document.querySelector('canvas[data-network=net1]').focus()")
    page.press(DOWN, RIGHT)
    assert page.texts("#now-2") == ["compute1 -> compute2: failed, 0.3 ms"]
    page.press(ENTER)
    assert page.texts("#evidence-title") == ["compute1 -> compute2 on net1"]
    page.press(ESCAPE)
    pixel = (
        "const c = document.querySelector('canvas[data-network=net1]'), s = c.width / 60;"
        "return [...c.getContext('2d').getImageData("
        "(arguments[0] + .4) * s, (arguments[1] + .4) * s, 1, 1).data]"
    )
    assert page.js(pixel, 1, 0)[:3] == [217, 45, 32]
    blue = page.js(pixel, 5, 3)
    assert blue[3] == 255
    assert blue[2] > blue[0]
    assert page.js(pixel, 3, 3)[3] == 0  # itself
    page.click("#only")
    assert page.js(pixel, 5, 3)[3] == 0
    assert page.js(pixel, 1, 0)[:3] == [217, 45, 32]


def test_two_hundred_nodes_are_a_page_that_opens(opened: Opened) -> None:
    found = ran(many(200), off("compute7"))
    page = opened(found)
    assert page.path.stat().st_size < 30_000_000
    took = page.js("return performance.getEntriesByType('navigation')[0].loadEventEnd")
    assert took < 120_000, "on a machine that is busy with everything else too"
    failed = sum(result.status is CheckStatus.FAILED for result in found.results)
    assert page.texts("h1") == [f"✗ trio: {failed} of {len(found.results)} checks failed"]
    assert len(page.texts(".problem")) == 7
    page.click("details[data-layer=pairs] summary")
    assert len(page.texts(".row")) == 100


@pytest.mark.parametrize("status", list(CheckStatus))
def test_the_title_tells_the_verdict(opened: Opened, status: CheckStatus) -> None:
    def spoil_one(result: CheckResult) -> CheckResult:
        is_one = result.check.kind is CheckKind.CLOCK and result.check.node == "compute1"
        return dataclasses.replace(result, status=status) if is_one else result

    page = opened(ran(spoil=spoil_one))
    assert (
        page.texts("h1")
        == {
            CheckStatus.PASSED: [f"✓ trio: all {TOTAL} checks passed"],
            CheckStatus.WARNED: [f"! trio: all {TOTAL} checks passed, 1 with a warning"],
            CheckStatus.FAILED: [f"✗ trio: 1 of {TOTAL} checks failed"],
            CheckStatus.ERROR: [f"? trio: 1 of {TOTAL} checks had no answer"],
        }[status]
    )


def test_on_paper_there_are_no_switches_and_nothing_is_cut_off(page: Page) -> None:
    page.open(ran(many(12), lambda result: dead("compute4")(of_each_kind(result))))
    assert (
        page.js("return getComputedStyle(document.querySelector('#causes .evidence')).maxHeight")
        != "none"
    )
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert page.texts(".tools, nav") == []
    heights = page.js(
        "return [...document.querySelectorAll('.scroll, pre')]"
        ".map(e => getComputedStyle(e).maxHeight)"
    )
    assert set(heights) == {"none"}
