"""Rows of a bench that measures in rounds."""

from __future__ import annotations

import json

import pytest

from stacklab.dev.costs import HEADER, Costs


def test_a_row_has_the_median_the_range_and_the_ratio_of_medians() -> None:
    costs = Costs()
    for ours, raw in ((3.0, 1.0), (9.0, 2.0), (4.0, 5.0)):
        costs.add("ours", ours, base="raw", wanted="at most 2")
        costs.add("raw", raw)
    rows = costs.rows()
    assert rows == [
        ("ours", "4.00", "3.00", "9.00", "2.00", "at most 2"),
        ("raw", "2.00", "1.00", "5.00", "", ""),
    ]
    assert all(len(row) == len(HEADER) for row in rows)


def test_of_one_round_there_is_no_range() -> None:
    costs = Costs()
    costs.add("once", 1.25)
    assert costs.rows() == [("once", "1.25", "", "", "", "")]


def test_without_its_base_a_row_has_no_ratio() -> None:
    costs = Costs()
    costs.add("ours", 1.0, base="never measured")
    costs.add("zero", 0.0)
    costs.add("of zero", 1.0, base="zero")
    assert [row[4] for row in costs.rows()] == ["", "", ""]


def test_what_is_timed_is_added_unless_it_fails() -> None:
    costs = Costs()
    assert costs.timed("fine", lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        costs.timed("fails", lambda: 1 / 0)
    assert [row[0] for row in costs.rows()] == ["fine"]


def test_programs_get_the_seconds_of_every_round() -> None:
    costs = Costs()
    costs.add("raw", 1.0)
    costs.add("ours", 2.0, base="raw")
    costs.add("ours", 4.0, base="raw")
    ours = costs.as_dicts()[1]
    assert json.loads(json.dumps(ours)) == {
        "what": "ours",
        "seconds": [2.0, 4.0],
        "median_s": 3.0,
        "base": "raw",
        "ratio": 3.0,
        "wanted": "",
    }
