"""What a node says of its logs, cut into files."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacklab.workflow.logs import node as logs_node


def test_a_node_that_says_too_much_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs_node, "MOST_BYTES", 1024 * 1024)
    hearing = logs_node._FileCutter("M")
    hearing.hear("M begin x", 0)
    for _ in range(9):
        assert hearing.why_stop() == ""
        hearing.hear("y" * 120_000, 0)
    assert hearing.why_stop() == "more than 1 MiB"


def test_what_a_node_s_logs_cost_is_what_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of two characters cost 700 MB of memory before 16 MiB were counted."""
    monkeypatch.setattr(logs_node, "MOST_BYTES", 1024 * 1024)
    for line in ("y", "\u20ac" * 100, "\U0001f600", ""):
        hearing = logs_node._FileCutter("M")
        hearing.hear("M begin x", 0)
        while not hearing.why_stop():
            hearing.hear(line, 0)
        for _ in range(100):
            hearing.hear(line, 0)  # what comes before it is ended
        assert sys.getsizeof(hearing.logs.files["x.txt"]) < 1.3 * logs_node.MOST_BYTES


def test_a_node_that_begins_files_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs_node, "MOST_BYTES", 1024 * 1024)
    hearing = logs_node._FileCutter("M")
    for number in range(20_000):
        hearing.hear(f"M begin {number}", 0)
    assert hearing.why_stop() == "more than 1 MiB"


def test_of_what_was_cut_off_at_its_beginning_no_half_line_is_shown() -> None:
    """It might be the second half of a password."""
    hearing = logs_node._FileCutter("M")
    for name, most in (
        ("files/var/log/a", logs_node._OF_FILE),
        ("journal.txt", logs_node._OF_JOURNAL),
        ("b", 0),
    ):
        whole = "half a secret\n" + "x" * (most - 19) + "\nlast"
        for line in (f"M begin {name}", *whole.split("\n"), f"M end {name}"):
            hearing.hear(line, 0)
    found = dict(logs_node.texts(hearing.logs))
    assert found["files/var/log/a.txt"].startswith("(its beginning is left out)\nxxx")
    assert found["journal.txt"].startswith("(its beginning is left out)\nxxx")
    assert found["b.txt"].startswith("half a secret\n")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("files/var/log/a.html", "files/var/log/a.html.txt"),
        ("files/var/log/a.SVG", "files/var/log/a.SVG.txt"),
        ("files/var/log/nova/a.log", "files/var/log/nova/a.log.txt"),
        ("files/var/log/nova/a.conf", "files/var/log/nova/a.conf.txt"),
        ("files/var/log/nova/a.JSON", "files/var/log/nova/a.JSON.txt"),
        ("files/var/log/nova/a.json", "files/var/log/nova/a.json"),
        ("files/var/log/nova/a.txt", "files/var/log/nova/a.txt"),
        ("files/.htaccess", "files/.htaccess.txt"),
        ("files/a.txt/", "files/a.txt"),
        ("files/var/log/syslog", "files/var/log/syslog.txt"),
        ("files/var/log/syslog.1", "files/var/log/syslog.1.txt"),
        ("files/a.xht", "files/a.xht.txt"),
        ("files/a.shtml", "files/a.shtml.txt"),
        ("files/a.mhtml", "files/a.mhtml.txt"),
        ("files/a.svgz", "files/a.svgz.txt"),
        ("files/a.log.xsl", "files/a.log.xsl.txt"),
        ("files/../../../etc/passwd", "files/_/_/_/etc/passwd.txt"),
        ("/etc/passwd", "etc/passwd.txt"),
        ("files/a b\x1b[2J<script>", "files/a_b__2J_script_.txt"),
        ("", "_.txt"),
        ("..", "_.txt"),
    ],
)
def test_a_node_cannot_choose_where_its_files_go(name: str, safe: str) -> None:
    assert logs_node.safe_path(name) == safe


@given(st.text())
def test_no_name_leads_out_of_the_bundle(name: str) -> None:
    path = logs_node.safe_path(name)
    assert not path.startswith("/")
    assert not {"", ".", ".."} & set(path.split("/"))


@given(
    st.lists(
        st.sampled_from(
            ["M hello", "M begin a", "M end a", "M begin b", "x", "", "M bye", "M", "M begin "]
        )
    )
)
def test_whatever_a_node_says_is_taken_apart(lines: list[str]) -> None:
    hearing = logs_node._FileCutter("M")
    for line in lines:
        hearing.hear(line, 0.0)
    assert all(isinstance(text, str) for _, text in logs_node.texts(hearing.logs))
