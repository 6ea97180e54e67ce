from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from stacklab.views import logs
from stacklab.workflow.logs.bundle import Bundle, Item
from stacklab.workflow.logs.logs import MARK, Written

BUNDLE = Bundle(
    lab="trio",
    taken_at=0.0,
    states={"controller": "running", "compute1": "paused"},
    items=(
        Item(section="host", path="host/record.json", title="what exists", size=10),
        Item(section="host", path="host/events.log", title="what was done", size=3 * 1024 * 1024),
        Item(
            section="controller",
            path="nodes/controller/files/a#b.log",
            title="<b>odd</b>",
            size=2048,
        ),
        Item(
            section="compute1",
            path="nodes/compute1",
            title="what the node tells",
            why_not="the node is <paused>",
        ),
    ),
)


class Page(HTMLParser):
    """Links, anchors and texts of a page; complains about tags that are not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag not in ("meta", "br"):
            self.open.append(tag)
        if tag == "a":
            self.links.append(found["href"] or "")
        if found.get("id"):
            self.anchors.add(str(found["id"]))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)


@pytest.fixture
def page() -> Page:
    return Page(logs.index_page(BUNDLE))


def test_every_file_is_linked_and_what_is_missing_is_named_with_its_reason(page: Page) -> None:
    files = {link for link in page.links if not link.startswith("#")}
    assert files == {"host/record.json", "host/events.log", "nodes/controller/files/a%23b.log"}
    text = " ".join(page.words)
    assert "the node is <paused>" in text
    assert "<b>odd</b>" in text
    assert "controller" in text
    assert "paused" in text


def test_every_link_within_the_page_leads_somewhere(page: Page) -> None:
    assert {link[1:] for link in page.links if link.startswith("#")} == page.anchors


def test_the_page_is_self_contained_and_knows_dark(page: Page) -> None:
    text = logs.index_page(BUNDLE)
    assert not re.search(r"https?://|<script|@import|url\(", text)
    assert "prefers-color-scheme: dark" in text
    assert MARK in text[:200]


def test_nothing_that_slips_into_the_page_is_loaded_or_run() -> None:
    text = logs.index_page(BUNDLE)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert " style=" not in text
    assert text.index("Content-Security-Policy") < text.index("<style>")


def test_what_a_node_says_of_what_is_missing_moves_no_cursor() -> None:
    item = Item(section="n", path="nodes/n", title="t", why_not="\x1b]0;x\x07gone\nnot had: forged")
    bundle = Bundle(lab="trio", taken_at=0.0, states={}, items=(item,))
    _, line = logs.summary_lines(Written(path=Path("/o/t.tar.gz"), bundle=bundle))
    assert line == "not had: nodes/n: gone\n    not had: forged"


def test_what_is_looked_at_first_stands_first() -> None:
    text = logs.index_page(BUNDLE)
    assert text.index("host/events.log") < text.index("host/record.json")


def test_without_libvirtd_the_page_says_that_it_does_not_know() -> None:
    empty = Bundle(lab="trio", taken_at=0.0, states={}, items=())
    assert "what the nodes do is not known" in logs.index_page(empty)


def test_the_terminal_is_told_where_it_is_and_what_is_missing() -> None:
    assert list(logs.summary_lines(Written(path=Path("/o/trio"), bundle=BUNDLE))) == [
        "/o/trio/index.html: 3 files, 3.0 MiB; passwords and keys are masked",
        "not had: nodes/compute1: the node is <paused>",
    ]
    assert next(logs.summary_lines(Written(path=Path("/o/t.tar.gz"), bundle=BUNDLE))).startswith(
        "/o/t.tar.gz: 3 files"
    )


def test_the_page_holds_no_word_of_a_node_that_turns_or_hides_text() -> None:
    hidden = "gone\u202egnp.exe\x1b[8m\u200b"
    items = (
        Item(section="n", path="nodes/n", title="t", why_not=hidden),
        Item(section="n", path=f"nodes/n/files/{hidden}", title=hidden, size=1),
    )
    bundle = Bundle(lab="trio", taken_at=0.0, states={"n": "running"}, items=items)
    page = logs.index_page(bundle)
    assert not {"\u202e", "\x1b", "\u200b"} & set(page)
    assert page.count("gonegnp.exe") == 3
