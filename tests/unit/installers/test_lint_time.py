"""Strangers' files that would keep a rule busy for minutes, were it not linear."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from stacklab.installers import linting as lint
from stacklab.lint.readers import read
from stacklab.lint.scope import Source

_BYTES = read.LIMIT // 8
_LIMIT_S = 5.0
_LINES = 20_000


def source(text: str) -> Source:
    return Source(name="localrc", text=text)


def test_marks_of_conflicts_that_never_end_are_read_in_one_pass() -> None:
    lines = _BYTES // 16
    text = "<<<<<<< a\n" * lines + "=======\n" * lines
    began = time.monotonic()
    assert read.find_conflict(source(text)) is None
    assert time.monotonic() - began < _LIMIT_S


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_conflict_is_found_whatever_ends_its_lines(newline: str) -> None:
    marks = ("<<<<<<< HEAD", "A=1", "=======", "A=2", ">>>>>>> other", "")
    finding = read.find_conflict(source(newline.join(marks)))
    assert finding is not None
    assert (finding.rule, finding.line) == ("file-conflict", 1)


@pytest.mark.parametrize(
    "text",
    [
        "=======\n<<<<<<< HEAD\n>>>>>>> other\n",
        "<<<<<<< HEAD\n>>>>>>> other\n=======\n",
        "<<<<<<< HEAD\n======= \n>>>>>>> other\n",
    ],
)
def test_other_orders_are_no_conflict(text: str) -> None:
    assert read.find_conflict(source(text)) is None


@pytest.mark.parametrize("name", ["localrc", "answers.txt", "instances.yaml", "anything.txt"])
def test_blank_lines_are_passed_over_once(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("\n" * _LINES + "A=1\n")
    began = time.monotonic()
    lint.judge_files([path])
    assert time.monotonic() - began < _LIMIT_S


@pytest.mark.parametrize("line", ["A=1\n", "A=$B\n", "ADMIN_PASSWORD=a@b\n"])
def test_a_name_that_is_set_a_thousand_times_is_compared_with_its_last_one(
    tmp_path: Path, line: str
) -> None:
    path = tmp_path / "localrc"
    path.write_text(line * (_LINES // 8) + "HOST_IP=10.0.0.1\n")
    began = time.monotonic()
    lint.judge_files([path])
    assert time.monotonic() - began < _LIMIT_S
