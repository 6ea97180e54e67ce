"""What a node writes, as it may be shown."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacklab.errors import CommandFailed, LabError
from stacklab.foreign import Foreign, printable

ODD = st.text(st.characters()) | st.text("\x1b[]();?m0\x07\x9b\\ \n\r\tab\u202e\u200b", max_size=60)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain", "plain"),
        ("g\u00fcnstig \U0001f600 a\tb", "g\u00fcnstig \U0001f600 a\tb"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;a title\x07text", "text"),
        ("\x1b]52;c;Y2xpcA==\x1b\\text", "text"),
        ("\x1b[2J\x1b[1;1Hforged", "forged"),
        ("a\x00b\x08c\x7fd\x9be", "abcde"),
        ("turned \u202egnp.exe\u202c", "turned gnp.exe"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("no\u00a0break", "no break"),
        ("half \ud800", "half "),
        ("private \ue000use\U000f0000", "private use"),
        ("one\ntwo", "one\n    two"),
        ("one\r\ntwo", "one\n    two"),
        ("one\rtwo", "one\n    two"),
        ("one\u2028two\x85three\x0bfour", "one\n    two\n    three\n    four"),
        ("\x1b", ""),
        ("", ""),
    ],
)
def test_foreign_text_is_shown_without_what_moves_a_terminal(raw: str, shown: str) -> None:
    assert printable(raw) == shown
    assert str(Foreign(raw)) == f"{Foreign(raw)}" == shown


@settings(deadline=None)  # a loaded machine is no bug
@given(ODD)
def test_whatever_is_written_is_safe_to_show(text: str) -> None:
    shown = printable(text)
    first, *further = shown.split("\n")
    assert all(c.isprintable() or c == "\t" for c in "".join([first, *further]))
    assert "\x1b" not in shown
    assert all(line.startswith("    ") for line in further)
    assert len(shown.splitlines()) <= len([first, *further])
    flat = printable(text, indent="")
    assert printable(flat, indent="") == flat


def test_foreign_text_is_no_string_that_could_be_printed_by_mistake() -> None:
    said = Foreign("\x1b[2J")
    assert not isinstance(said, str)
    assert said.raw == "\x1b[2J"
    assert not Foreign(" \n")


def test_an_error_never_hands_on_what_moves_a_terminal() -> None:
    error = CommandFailed("node1 can't be read: \x1b]0;owned\x07no\u202e\n  our own second line")
    assert error.message == "node1 can't be read: no\n  our own second line"
    assert str(LabError("\x1b[2Jx", hint="y")) == "x\n  next: y"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("::error file=a.py::forged", ": :error file=a.py::forged"),
        ("  \t::add-mask::a", "  \t: :add-mask::a"),
        ("one\n::stop-commands::x", "one\n    : :stop-commands::x"),
        ("one\r::group::x", "one\n    : :group::x"),
        ("\x1b[0m::\u200berror::x", ": :error::x"),
        ("words ##[add-mask]b", "words # #[add-mask]b"),
        ("##vso[task.setvariable]b", "# #vso[task.setvariable]b"),
        ("###teamcity[x]", "## #teamcity[x]"),
        ("#\u200b#[error]x", "# #[error]x"),
        ("inet6 ::1/128", "inet6 ::1/128"),
        ("::1 localhost", "::1 localhost"),
        ("## a heading [1]", "## a heading [1]"),
    ],
)
def test_no_text_of_a_node_gives_orders_to_a_ci_system(raw: str, shown: str) -> None:
    assert printable(raw) == shown
    assert printable(printable(raw, indent=""), indent="") == printable(raw, indent="")
