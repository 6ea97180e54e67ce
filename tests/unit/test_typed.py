"""Commands in texts for people, as they are typed where stacklab is installed from a wheel."""

from __future__ import annotations

import sys

import pytest
from rich.console import Group
from rich.text import Text

from stacklab import typed
from stacklab.views import tables

NEXT = "next: ./invoke lab.up mini"


def type_words(monkeypatch: pytest.MonkeyPatch, *words: str, is_checkout: bool = False) -> None:
    monkeypatch.setattr(sys, "argv", list(words))
    monkeypatch.setattr(typed, "IS_CHECKOUT", is_checkout)


@pytest.mark.parametrize(
    ("words", "program", "task"),
    [
        (("/venv/bin/stacklab", "lab.list"), "stacklab", "lab.list"),
        (("/venv/lib/invoke/__main__.py", "lab.list"), "invoke", "lab.list"),
        (("inv", "-c", "mine", "-e", "lab.list"), "inv -c mine", "-e lab.list"),
        (("inv", "--collection=my own", "lab.list"), "inv '--collection=my own'", "lab.list"),
        (("inv", "-r", "up", "lab.exec", "x", "--", "sh", "-c", "w"), "inv -r up", None),
        (("inv", "-c"), "inv -c", ""),
        (("/venv/bin/pytest", "--lab", "x"), "stacklab", None),
        (("/venv/lib/pytest/__main__.py", "--lab", "x"), "stacklab", None),
    ],
)
def test_the_program_is_what_was_typed(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], program: str, task: str | None
) -> None:
    type_words(monkeypatch, *words)
    assert typed.program() == program
    assert typed.as_typed(NEXT) == f"next: {program} lab.up mini"
    if task is not None:
        assert typed.task_words() == task


def test_in_the_checkout_it_is_invoke(monkeypatch: pytest.MonkeyPatch) -> None:
    # The wrapper puts its project in front.
    type_words(monkeypatch, "inv", "--search-root", "/there", "lab.list", is_checkout=True)
    assert typed.program() == "./invoke"
    assert typed.as_typed(NEXT) == NEXT
    assert typed.task_words() == "lab.list"


def shown(*renderables: object) -> str:
    page = tables.console()
    with page.capture() as captured:
        for one in renderables:
            page.print(tables.as_typed_here(one))  # type: ignore[arg-type]
    return captured.get()


def test_tables_are_as_wide_as_what_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    type_words(monkeypatch, "inv", "lab.list")
    rows = [("./invoke lab.up mini", "a"), (Text("./invoke lab.ssh m", "bold"), "b")]
    assert [line.rstrip() for line in shown(tables.table(("next", ""), rows)).splitlines()] == [
        "next",
        "inv lab.up mini  a",
        "inv lab.ssh m    b",
    ]


def test_texts_keep_their_styles(monkeypatch: pytest.MonkeyPatch) -> None:
    type_words(monkeypatch, "stacklab", "lab.list")
    line = Text("try: ", "dim").append("./invoke lab.up mini", "bold")
    changed = tables.as_typed_here(line)
    assert isinstance(changed, Text)
    assert changed.plain == "try: stacklab lab.up mini"
    assert changed.style == "dim"
    assert [span.style for span in changed.spans][-1] == "bold"
    assert shown(NEXT, Group(line)).splitlines() == [
        "next: stacklab lab.up mini",
        "try: stacklab lab.up mini",
    ]
