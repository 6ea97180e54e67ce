from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacklab.tools.console import tail


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "node.console.log"


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        (b"\x1b[0;32m  OK  \x1b[0m] Started ssh\r\n", "  OK  ] Started ssh"),
        (b"\x1b[2J\x1b[01;01H\x1b(Bgrub", "grub"),
        (b"\x1b[?25l\x1b=\x1b>\x1bMtext", "text"),
        (b"\x1b]0;a title\x07text", "text"),
        (b"\x1b]3008;start=1;type=boot\x1b\\text", "text"),
        (b"\x1b[38:5:1mred\x1b[4 q", "red"),
        (b"a\x00b\x08c\x7f", "abc"),
        (b"gr\xc3\xbc\xc3\x9f \xff", "gr\u00fc\u00df \ufffd"),
    ],
)
def test_a_console_s_words_are_told_without_its_escapes(log: Path, raw: bytes, clean: str) -> None:
    log.write_bytes(raw)
    assert tail(log) == (clean,)


def test_only_the_last_lines_are_told_and_no_empty_ones(log: Path) -> None:
    log.write_text("".join(f"line {number}\r\n\r\n  \n" for number in range(5000)))
    assert tail(log, 2) == ("line 4998", "line 4999")
    assert len(tail(log)) == 15
    assert tail(log, start=log.stat().st_size - 16) == ("line 4999",)
    assert tail(log, 1, start=log.stat().st_size + 10) == ("line 4999",), "virtlogd began it anew"


def test_a_console_that_cannot_be_read_is_told_so(log: Path) -> None:
    assert tail(log)[0].startswith("(can't be read: [Errno 2]")


@given(
    raw=st.binary(max_size=300) | st.text("\x1b[]();?m0\x07\\ \nab", max_size=60).map(str.encode)
)
@settings(deadline=None, max_examples=200)
def test_whatever_a_guest_writes_our_terminal_is_safe(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    log = tmp_path_factory.mktemp("c") / "log"
    log.write_bytes(raw)
    assert all(line.isprintable() and line.strip() for line in tail(log))
