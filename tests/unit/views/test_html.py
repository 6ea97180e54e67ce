"""The page of lab.check --html as markup; tests/browser has it in a browser."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from stacklab.checks.expect import Fault, FaultKind
from stacklab.checks.outcome import Outcome
from stacklab.checks.result import CheckResult
from stacklab.model.cause import Cause, CauseKind
from stacklab.views.page import html
from tests.unit.checks.fake_lab import make_lab
from tests.unit.views.fake_results import (
    HOSTILE,
    dead,
    down,
    expecting,
    failed,
    many,
    of_each_kind,
    off,
    ran,
)


def page(found: Outcome) -> str:
    return "".join(html.page_parts(found))


def data(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])  # type: ignore[no-any-return]


class Elements(HTMLParser):
    """Every element with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_page_allows_its_own_script_and_style_and_nothing_else() -> None:
    text = page(ran())
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy


def test_the_page_names_nothing_outside() -> None:
    text = page(ran(spoil=of_each_kind))
    for tag, attributes in Elements(text).found:
        for name in ("src", "href", "action", "srcset", "poster", "data", "xlink:href"):
            assert re.match(r"#|data:,$", attributes.get(name) or "#"), (tag, attributes)
        assert "style" not in attributes  # the policy would refuse it
        assert not [name for name in attributes if name.startswith("on")]
    assert not re.findall(
        r"url\(|@import|fetch\(|XMLHttpRequest|innerHTML|insertAdjacentHTML|eval\(", text
    )


def test_without_scripts_the_failures_and_matrices_are_there() -> None:
    text = re.sub(r"<script.*?</script>", "", page(ran(spoil=of_each_kind)), flags=re.DOTALL)
    for word in (
        "10.20.0.12 : - - -",
        "arp    10.20.0.12 dev eth1 FAILED",
        ">41.5 some lost<",
        ">lost<",
        ">0.3 mtu<",
    ):
        assert word in text
    assert "2026-11-20 10:30 UTC" in text
    assert "took 4.2 s" in text


def test_hostile_text_is_no_markup() -> None:
    def spoil(result: CheckResult) -> CheckResult:
        return failed(result, HOSTILE, command=HOSTILE, output=HOSTILE, clues=HOSTILE)

    lab = dataclasses.replace(make_lab(), description=HOSTILE)
    found = Elements(page(ran(lab, spoil))).found
    assert [tag for tag, _ in found if tag in ("img", "iframe", "object")] == []
    assert [attributes for tag, attributes in found if tag == "script"] == [
        {"type": "application/json", "id": "data"},
        {},
    ]
    text = page(ran(lab, spoil))
    assert "<script>document" not in text
    (inside,) = re.findall(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert not set("<>&") & set(inside)  # `<!--<script` would swallow the element's end


def test_the_data_are_all_results() -> None:
    found = ran(spoil=of_each_kind)
    read = data(page(found))
    words, columns = read["words"], read["columns"]
    for at, result in enumerate(found.results):
        check = result.check
        row = {name: words[column[at]] for name, column in columns.items()}
        assert row == {
            "layer": check.kind.layer,
            "kind": check.kind,
            "node": check.node,
            "target": check.target,
            "network": check.network,
            "address": check.address,
            "device": check.device,
            "subject": check.subject,
            "status": result.status,
            "reason": result.reason,
            "detail": result.sentence.replace("\u202e", ""),
        }
        assert read["rtt"][at] == (result.rtt_ms or 0)
        assert (str(at) in read["texts"]) is bool(
            result.command or result.output or result.evidence
        )


@pytest.mark.parametrize(
    ("rtt_ms", "text"),
    [
        (None, "0"),
        (0.0, "0"),
        (0.04567, "0.0457"),
        (1.2345, "1.23"),
        (123.456, "123"),
        (4567.8, "4568"),
    ],
)
def test_round_trips_have_three_digits(rtt_ms: float | None, text: str) -> None:
    assert html._rtt_number(rtt_ms) == text


def test_outputs_that_no_browser_could_hold_are_left_out_and_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(html, "_MOST_TEXT", 1000)
    read = data(page(ran(spoil=lambda result: failed(result, "x", output="y" * 90))))
    told = [texts[1:] for texts in read["texts"].values()]
    assert told[0] == ["y" * 90, ""]
    assert told[-1] == ["", html._LEFT_OUT]
    assert sum(len(each[0]) for each in told) <= 1000


def test_a_page_of_many_checks_comes_in_pieces_and_is_small() -> None:
    sizes = [len(part) for part in html.page_parts(ran(many(60), off("compute3")))]
    assert max(sizes) < 200_000
    assert sum(sizes) < 60 * 59 * 12 * 40 + 400_000  # forty characters per check


def test_what_is_bad_is_marked_in_the_picture() -> None:
    text = page(ran(many(6), off("compute3")))
    assert re.findall(r'class="node bad" data-node="([^"]*)"', text) == ["compute3"]
    assert text.count('<line class="bad"') == 2
    assert "something fails there" in text
    healthy = page(ran())
    assert 'class="bad"' not in healthy
    assert "something fails there" not in healthy


@pytest.mark.parametrize(
    ("elapsed_s", "text"),
    [(0.05, "0.1 s"), (59.94, "59.9 s"), (61, "1 min 1 s"), (3600, "60 min 0 s")],
)
def test_how_long_it_took_is_readable(elapsed_s: float, text: str) -> None:
    assert html._seconds_text(elapsed_s) == text


def test_a_cause_stands_once_with_a_link_to_each_check() -> None:
    found = ran(spoil=down("compute1", "net1", "eth1"))
    text = page(found)
    plain = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert plain.count("eth1 is down on compute1") == 1
    assert "12 checks: ping, mtu, port on net1; compute1 &lt;-&gt; controller, compute2" in plain
    assert 'id="problems"' not in plain
    links = [
        int(attributes["data-at"] or "")
        for tag, attributes in Elements(text).found
        if "data-at" in attributes
    ]
    assert links == [at for at, result in enumerate(found.results) if not result.is_passed]


def test_of_many_checks_of_a_cause_some_are_links() -> None:
    text = page(ran(many(20), dead("compute7")))
    assert text.count("data-at=") == 200
    assert "and 110 more: see all checks below" in text


def test_a_hostile_cause_is_no_markup() -> None:
    text = page(
        ran(
            spoil=lambda result: failed(result, "x").explained(
                Cause(CauseKind.NIC_DOWN, HOSTILE), [HOSTILE]
            )
        )
    )
    assert [tag for tag, _ in Elements(text).found if tag == "img"] == []


def test_what_is_cut_as_expected_has_its_look_and_its_words() -> None:
    fault = Fault(kind=FaultKind.LINK_DOWN, node="compute1", device="eth1", network="net1")
    text = page(ran(spoil=expecting(make_lab(), fault)))
    assert 'aria-label="controller to compute1: cut: as expected">cut<' in text
    assert (
        'aria-label="compute1 to controller: 2.6 ms, something fails, as it may">2.6 cut?<' in text
    )
    assert '<span class="key cut">cut: as expected</span>' in text
    assert "key cut" not in re.sub(r"<style>.*?</style>", "", page(ran()), flags=re.DOTALL)
    wide = many(9)
    assert ">2.6 cut?<" not in page(
        ran(wide, expecting(wide, fault))
    )  # would push columns out of sight
    assert ">cut<" in page(ran(wide, expecting(wide, fault)))
