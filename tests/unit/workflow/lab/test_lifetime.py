from __future__ import annotations

import pytest

from stacklab.errors import LabError
from stacklab.workflow.lab import lifetime


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86400), ("365d", 31536000), (None, None)],
)
def test_a_time_to_live_is_a_number_with_its_unit(text: str | None, seconds: float | None) -> None:
    assert lifetime.ttl_s(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2",
        "h",
        "0h",
        "-1h",
        "1.5h",
        "2 h",
        "2H",
        "1w",
        "366d",
        "999999999d",
        "٣h",
        "2h\n",
        "\ud800",
    ],
)
def test_anything_else_is_refused_with_what_would_do(text: str) -> None:
    with pytest.raises(LabError, match="is not a time from 1s to 365d") as caught:
        lifetime.ttl_s(text)
    assert "--ttl 2h" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (30, "30 s left"),
        (0.5, "0 s left"),
        (1801, "30 min left"),
        (7199, "1 h 59 min left"),
        (90000, "25 h 0 min left"),
        (180000, "2 d 2 h left"),
        (0, "ended 0 s ago"),
        (-5, "ended 5 s ago"),
        (-7260, "ended 2 h 1 min ago"),
    ],
)
def test_what_is_left_is_said_in_words(seconds: float, words: str) -> None:
    assert lifetime.left(1e9 + seconds, 1e9) == words


def test_who_lives_for_ever_has_nothing_to_show() -> None:
    assert lifetime.left(None, 1e9) == ""
