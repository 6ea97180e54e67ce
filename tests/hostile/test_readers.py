"""Whatever a node writes, its readers come back: soon, and with a verdict, not a traceback."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stacklab.nodes.protocol import LINE_MAX
from tests.hostile.readers import READERS, Reader

# By hand, once in a while: STACKLAB_HOSTILE_EXAMPLES=20000 pytest tests/hostile/test_readers.py
EXAMPLES = int(os.environ.get("STACKLAB_HOSTILE_EXAMPLES", "300"))
# Of one line of the length that is heard. A session holds some 2400 of them.
MOST_CPU_S = 0.02
ENDED_AFTER_S = 3.0

ODD_WORDS = (
    *(
        "",
        " ",
        "\t",
        "-",
        "=",
        ":",
        "/",
        ".",
        "%",
        "|",
        "\\",
        "#",
        "@",
        "[",
        "{",
        "}",
        "<>",
        "\x00",
    ),
    *(
        "0",
        "-1",
        "1..2",
        "1.2.3",
        "1e400",
        "-1e308",
        "nan",
        "inf",
        "0x",
        "0x1g",
        "1_000",
        "+5",
        "٣",
    ),
    *("²", "①", "9" * 20, "9" * 400, "9" * 5000, "0." + "9" * 400, "1/0", "0/0", "10.10.0.11/99"),
    *("999.1.1.1", "::1", "fe80::%eth0/64", "= 0", "= 256", "= -1", "M end", "M begin", "\x1b[2J"),
    *("\ud800", "\u202e", "\u2028", "\r", "[" * 3000, '{"a":' * 1500, "null", "true", "A" * 4000),
    *("0 ended yes 1 0 0", "Now=1", "Said=x", "qdisc", "default", "dev", "via", "mtu", "-", "e"),
)
odd = st.sampled_from(ODD_WORDS) | st.text(max_size=30)


@st.composite
def spoilt(draw: st.DrawFn, honest: Sequence[str]) -> list[str]:
    """Draw an honest answer in which words, and whole lines, were replaced, doubled or left out."""
    lines = list(honest[:40])
    for _ in range(draw(st.integers(0, 6))):
        place = draw(st.integers(0, max(0, len(lines) - 1)))
        line = lines[place] if lines else ""
        words = re.split(r"([\s:/=.,%|]+)", line)
        match draw(st.integers(0, 5)):
            case 0:
                lines[place : place + 1] = []
            case 1:
                lines.insert(place, draw(odd))
            case 2:
                lines.insert(place, line)
            case 3:
                lines[place : place + 1] = [line[: draw(st.integers(0, len(line)))]]
            case _:
                words[draw(st.integers(0, len(words) - 1))] = draw(odd)
                lines[place : place + 1] = ["".join(words)]
    return lines


@pytest.mark.parametrize("reader", READERS, ids=str)
def test_no_answer_raises(reader: Reader) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(spoilt(reader.honest))
    def read(lines: list[str]) -> None:
        reader.read(lines)

    read()


# What a pattern may run over and over again, from each of its places.
_RUNS = (
    " ",
    "\t",
    "a",
    "A",
    "1",
    "1.",
    " 1",
    "-A ",
    "a ",
    ".",
    ",",
    "@",
    "(",
    "/",
    "-j DROP ",
    "::",
    "=",
)


def slow_lines(honest: Sequence[str]) -> Iterator[str]:
    """Yield each honest line with a long run of one thing at each end of a word."""
    shapes: set[str] = set()
    for line in honest:
        shape = re.sub(r"\d+", "1", line)
        if shape in shapes or len(shapes) > 25:
            continue
        shapes.add(shape)
        places = [match.start() for match in re.finditer(r"\b", line)][:40]
        for place in dict.fromkeys((0, *places, len(line))):
            for run in _RUNS:
                yield (line[:place] + run * LINE_MAX)[:LINE_MAX]
                yield (line[:place] + run * LINE_MAX)[: LINE_MAX - 60] + line[place:][:60]


@pytest.mark.parametrize("reader", READERS, ids=str)
def test_no_line_keeps_a_reader_busy(reader: Reader) -> None:
    slow = []
    for line in slow_lines(reader.honest):
        # The least of a few: a busy machine is no slow pattern.
        took_s = min(_time_s(reader, line) for _ in range(3)) if _is_slow(reader, line) else 0.0
        if took_s > MOST_CPU_S:
            slow.append((round(took_s, 3), f"{line[:60]}...{line[-20:]}"))
        if took_s > 1 or len(slow) > 20:
            break
    assert not slow, sorted(slow)[-3:]


def _is_slow(reader: Reader, line: str) -> bool:
    return _time_s(reader, line) > MOST_CPU_S


def _time_s(reader: Reader, line: str) -> float:
    """Return how long a reader has a CPU for a line; one that does not end is ended."""

    def end(_number: int, _frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, ENDED_AFTER_S)
    began = time.thread_time()
    try:
        reader.read([line])
    except TimeoutError:
        return ENDED_AFTER_S
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    return time.thread_time() - began
