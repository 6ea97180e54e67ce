from __future__ import annotations

import base64
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacklab.nodes import protocol
from stacklab.nodes.protocol import Answer, Hearing, Part, Phase, Said

MARK = "stacklab-0123"
TEXT = f"""\
Welcome to a node with a banner
{MARK} begin
{MARK} a.one first line
a line of somebody else's
{MARK} b.two of the other part
{MARK} a.one second line
{MARK} a.one = 0
{MARK} b.two = 127
{MARK} end
"""


def test_lines_go_to_their_parts_and_others_to_none() -> None:
    answer = protocol.read(TEXT, MARK)
    assert (answer.is_begun, answer.is_complete) == (True, True)
    assert answer.of("a.one").lines == ("first line", "second line")
    assert (answer.of("a.one").code, answer.of("b.two").code) == (0, 127)
    assert answer.of("c.three") == Said()


def test_the_marker_of_another_run_counts_for_nothing() -> None:
    assert protocol.read(TEXT, "stacklab-9999") == Answer()
    assert protocol.read(TEXT.replace(MARK, f"{MARK}4"), MARK) == Answer()


def test_what_is_missing_says_why() -> None:
    cut = TEXT[: TEXT.index(f"{MARK} b.two = ")]
    hearing = Hearing(MARK)
    for line in cut.splitlines():
        hearing.hear(line, 0.0)
    answer = hearing.answer(why_cut="connection closed")
    assert answer.missing("a.one") == ""
    assert answer.missing("b.two") == "the session ended before this check: connection closed"
    assert protocol.read(TEXT, MARK).missing("c.three") == "no answer"


def test_a_last_line_without_its_end_counts_for_nothing() -> None:
    for length in range(len(TEXT)):
        answer = protocol.read(TEXT[:length], MARK)
        assert not answer.is_complete
        assert set(answer.of("a.one").lines) <= {"first line", "second line"}, length
        assert answer.of("b.two").code in (None, 127), length


def test_a_part_is_heard_when_its_first_line_comes() -> None:
    hearing = Hearing(MARK)
    hearing.hear(f"{MARK} a.one early", 10.0)
    hearing.hear(f"{MARK} a.one late", 12.0)
    assert hearing.answer().of("a.one").heard_at == 10.0


def test_a_node_that_never_stops_talking_does_not_fill_the_memory() -> None:
    hearing = Hearing(MARK)
    for number in range(20_000):
        hearing.hear(f"{MARK} a.one {number}", 0.0)
    hearing.hear(f"{MARK} a.one = 3", 0.0)
    said = hearing.answer().of("a.one")
    assert len(said.lines) == 5000
    assert said.code == 3


def test_a_text_is_shown_by_its_end() -> None:
    said = Said(lines=("x" * 3000, "the reason"))
    assert len(said.text) == protocol.OUTPUT_MAX
    assert said.text.endswith("\nthe reason")


@settings(deadline=None)  # a loaded machine is no bug
@given(st.text())
def test_no_text_makes_the_reader_raise(text: str) -> None:
    answer = protocol.read(text, MARK)
    assert not answer.is_begun


@settings(deadline=None)  # a loaded machine is no bug
@given(
    st.lists(
        st.sampled_from([*TEXT.splitlines(keepends=True), MARK, " ", "\n", " = 1", "\r\n", "\0"])
    )
)
def test_shuffled_pieces_never_raise(pieces: list[str]) -> None:
    answer = protocol.read("".join(pieces), MARK)
    assert all(line.strip() for said in answer.said.values() for line in said.lines)


def test_a_tag_that_would_break_the_script_is_refused() -> None:
    for tag in ("", "two words", "$(reboot)", "../x", "A"):
        with pytest.raises(AssertionError):
            Part(tag=tag, shell="true")


def test_facts_come_one_after_the_other_then_pings_then_the_rest() -> None:
    parts = [
        Part(tag="c", shell="echo c"),
        Part(tag="b", shell="echo b", phase=Phase.PINGS),
        Part(tag="a1", shell="echo a", phase=Phase.FACTS),
        Part(tag="a2", shell="echo a", phase=Phase.FACTS),
    ]
    calls = [
        line
        for line in protocol.render(parts, MARK).splitlines()
        if line.startswith(("tagged ", "wait"))
    ]
    assert calls == [
        "tagged a1 part2",
        "tagged a2 part3",
        "tagged b part1 &",
        "wait",
        "tagged c part0 &",
        "wait",
    ]


def test_a_session_may_take_as_long_as_its_longest_parts() -> None:
    def part(tag: str, phase: Phase, limit_s: float) -> Part:
        return Part(tag=tag, shell="true", phase=phase, limit_s=limit_s)

    parts = [
        part("a", Phase.FACTS, 1),
        part("b", Phase.FACTS, 2),
        part("c", Phase.REST, 5),
        part("d", Phase.REST, 7),
    ]
    assert protocol.time_limit_s(parts) == 1 + 2 + 7
    assert protocol.time_limit_s([]) == 0


# --- bounds: a node may be hostile


def test_only_tags_that_were_asked_for_are_kept() -> None:
    hearing = Hearing(MARK, ["a.one"])
    for line in TEXT.splitlines():
        hearing.hear(line, 0.0)
    for number in range(1000):
        hearing.hear(f"{MARK} t{number} {number}", 0.0)
    answer = hearing.answer()
    assert set(answer.said) == {"a.one"}
    assert (answer.is_begun, answer.is_complete) == (True, True)


def test_a_line_is_cut_where_an_honest_node_cuts_it() -> None:
    hearing = Hearing(MARK, ["a.one"])
    hearing.hear(f"{MARK} a.one {'9' * 900_000}", 0.0)
    (line,) = hearing.answer().of("a.one").lines
    assert len(line) == protocol.LINE_MAX
    assert int(line)  # of more than 4300 digits it would raise


@pytest.mark.parametrize("character", ["A", "\u00e9", "\u20ac", "\U0001f600"])
@pytest.mark.parametrize("head", [f"{MARK} a.one", "banner"])
def test_a_session_has_a_limit_in_memory_whatever_it_is_filled_with(
    head: str, character: str
) -> None:
    hearing = Hearing(MARK, ["a.one"])
    line = f"{head} {character * 3000}"
    count = 0
    while not hearing.why_stop():
        hearing.hear(line, 0.0)
        count += 1
    assert hearing.why_stop() == "it wrote more than 8 MiB"
    before = len(hearing.answer().of("a.one").lines)
    hearing.hear(line, 0.0)
    said = hearing.answer().of("a.one")
    assert len(said.lines) == before, "what comes before it is ended is dropped"
    assert sum(map(sys.getsizeof, said.lines)) <= protocol.SESSION_MAX
    assert count < 4000


@pytest.mark.parametrize(
    ("word", "is_number"),
    [
        ("0", True),
        ("007", True),
        ("", False),
        ("-1", False),
        ("1.5", False),
        ("9" * 13, False),
        ("9" * 5000, False),
        ("\u0661", False),
        ("\u00b2", False),
    ],
)
def test_a_number_is_what_int_takes(word: str, is_number: bool) -> None:
    assert protocol.is_number(word) is is_number


def test_bytes_reach_a_command_s_stdin_and_a_script_root_s_shell() -> None:
    data = bytes(range(256)) * 20 + b"\nEND-OF-DATA\n"
    line, *rest = protocol.fed("sudo tar -x", data).splitlines()
    assert line == "base64 -d <<'END-OF-DATA' | sudo tar -x"
    assert rest[-1] == "END-OF-DATA"
    assert base64.b64decode("".join(rest[:-1])) == data
    assert protocol.as_root("echo 'a b'") == """sudo -n sh -c 'echo '"'"'a b'"'"''"""
