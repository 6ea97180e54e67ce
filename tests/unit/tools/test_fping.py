from __future__ import annotations

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacklab.tools.network import fping

# As Debian 12's fping 5.1 writes it (stderr): padded names, a lost target, a target given twice.
RECORDED = """\
127.0.0.1    : 0.067 0.049 0.046
203.0.113.77 : - - -
10.0.0.9     : 1.25 - 0.5
127.0.0.1    : 0.010 0.009 0.010
"""


def test_the_line_asks_every_address_in_one_quiet_fping() -> None:
    words = shlex.split(fping.shell_line(["10.0.0.1", "10.0.0.2"]))
    assert words[0] == "fping"
    assert words[-2:] == ["10.0.0.1", "10.0.0.2"]
    assert "-q" in words
    assert words[words.index("-C") + 1] == str(fping.COUNT)


def test_a_slow_network_is_waited_for_longer() -> None:
    words = shlex.split(fping.shell_line(["10.0.0.1"], slower_ms=1500.5))
    assert words[words.index("-t") + 1] == "3501"
    assert fping.longest_s(1, slower_ms=1500) == fping.longest_s(1) + 1.5


def test_many_targets_take_longer_than_few() -> None:
    assert fping.longest_s(1) == fping.longest_s(20)
    assert fping.longest_s(400) > 3 * 400 * 0.01


@pytest.mark.parametrize(("size", "payload"), [(1500, "1472"), (1501, "1473"), (576, "548")])
def test_a_packet_has_the_size_with_its_headers(size: int, payload: str) -> None:
    words = shlex.split(fping.sized_line(size, ["10.0.0.1"]))
    assert words[words.index("-b") + 1] == payload
    assert "-M" in words


def test_every_target_has_its_replies() -> None:
    pings = fping.parse(RECORDED)
    assert pings["10.0.0.9"].rtts_ms == (1.25, None, 0.5)
    assert (pings["10.0.0.9"].sent, pings["10.0.0.9"].received) == (3, 2)
    assert pings["10.0.0.9"].worst_ms == 1.25


def test_a_silent_target_received_nothing_and_has_no_worst_time() -> None:
    ping = fping.parse(RECORDED)["203.0.113.77"]
    assert (ping.sent, ping.received, ping.worst_ms) == (3, 0, None)


def test_a_target_given_twice_is_put_together() -> None:
    assert fping.parse(RECORDED)["127.0.0.1"].sent == 6


@pytest.mark.parametrize(
    "line",
    [
        "10.0.0.2 : duplicate for [0], 64 bytes, 0.18 ms",
        "ICMP Host Unreachable from 10.0.0.1 for ICMP Echo sent to 10.0.0.2",
        "nosuch: Name or service not known",
        "10.0.0.2 : xmt/rcv/%loss = 2/2/0%, min/avg/max = 0.1/0.1/0.1",
        "10.0.0.2 : 0.18 nan",
        "10.0.0.2 :",
        "sh: 1: fping: not found",
    ],
)
def test_other_lines_are_passed_over(line: str) -> None:
    assert fping.parse(line + "\n") == {}


@settings(deadline=None)  # a loaded machine is no bug
@given(st.text())
def test_no_text_makes_the_parser_raise(text: str) -> None:
    for ping in fping.parse(text).values():
        assert 0 <= ping.received <= ping.sent


_RTTS = st.lists(
    st.none() | st.floats(0, 99999).map(lambda value: round(value, 3)), min_size=1, max_size=5
)


@settings(deadline=None)  # a loaded machine is no bug
@given(st.dictionaries(st.ip_addresses(v=4).map(str), _RTTS, max_size=5))
def test_what_fping_would_write_is_read_back(answers: dict[str, list[float | None]]) -> None:
    lines = [
        f"{target} : {' '.join('-' if rtt is None else f'{rtt:.3f}' for rtt in rtts)}"
        for target, rtts in answers.items()
    ]
    found = fping.parse("\n".join(lines))
    assert {target: list(ping.rtts_ms) for target, ping in found.items()} == answers
