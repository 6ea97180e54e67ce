"""A stage's log: every byte once, no secret, bounded, private; and the lines that matter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacklab.stages import step_log
from stacklab.stages.step_log import LastLine, StepLog, file_name, lines_that_matter


def mask(text: str) -> str:
    return text.replace("hunter2secret", "********")


def ignore(_line: str) -> None:
    pass


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def log(tmp_path: Path, said: list[str]) -> Iterator[StepLog]:
    made = StepLog(tmp_path / "logs" / "s.log", mask=mask, said=said.append)
    yield made
    made.close()


def test_it_is_private(log: StepLog) -> None:
    assert log.path.stat().st_mode & 0o777 == 0o600
    assert log.path.parent.stat().st_mode & 0o777 == 0o700


def test_the_last_line_of_each_piece_is_told_and_is_printable(
    log: StepLog, said: list[str]
) -> None:
    log.hear(b"one\ntwo\x1b[2J\n\n")
    log.hear(b"thr")
    log.hear(b"ee\n 10 %\r 20 %\r\n")
    assert said == ["two", "20 %"]


@given(st.lists(st.integers(min_value=1, max_value=30), min_size=1, max_size=40))
def test_however_it_is_cut_a_secret_is_masked(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    log = StepLog(tmp_path_factory.mktemp("log") / "s.log", mask=mask, said=ignore)
    output = b"a password: hunter2secret, again hunter2secret\nhunter2secret" * 5
    at = 0
    for size in sizes:
        log.hear(output[at : at + size])
        at += size
    log.hear(output[at:])
    log.close()
    text = log.path.read_text()
    assert "hunter" not in text
    assert text == mask(output.decode()) + "\n"


def test_a_secret_in_a_line_without_end_is_masked(
    log: StepLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_log, "_LONGEST_LINE", 100)
    monkeypatch.setattr(step_log, "_LONGEST_SECRET", 20)
    output = b"x" * 95 + b"hunter2secret" + b"y" * 200 + b"hunter2secret"
    for at in range(0, len(output), 7):
        log.hear(output[at : at + 7])
    log.close()
    assert log.path.read_text() == mask(output.decode()) + "\n"


def test_a_step_that_is_followed_again_is_written_again_from_its_beginning(log: StepLog) -> None:
    log.begin_step("first", 0)
    log.hear(b"of the first\n")
    start = log.end
    log.begin_step("second", start)
    log.hear(b"half of the sec")
    log.close()
    log = StepLog(log.path, mask=mask, said=ignore)
    log.begin_step("second", start)
    log.hear(b"half of the second\n")
    log.close()
    assert log.path.read_text() == "==> first\nof the first\n==> second\nhalf of the second\n"


def test_a_new_attempt_keeps_the_log_of_the_one_before(log: StepLog) -> None:
    log.restart()  # of nothing, nothing is kept
    assert not log.path.with_name("s.log.1").exists()
    log.note("old")
    log.restart()
    log.note("new")
    assert log.path.read_text() == "==> new\n"
    assert log.path.with_name("s.log.1").read_text() == "==> old\n"
    assert log.path.stat().st_mode & 0o777 == 0o600


def test_a_babbler_does_not_fill_the_disk(log: StepLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_log, "MOST_BYTES", 1000)
    for _ in range(100):
        log.hear(b"x" * 99 + b"\n")
    assert log.path.stat().st_size < 1300
    assert log.path.read_text().endswith("==> the log is full: the rest is on the node only\n")


def test_a_log_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        StepLog(tmp_path / "s.log", mask=mask, said=ignore)
    assert not (tmp_path / "elsewhere").exists()


def test_what_is_only_followed_is_masked_too(said: list[str]) -> None:
    shown = LastLine(mask=mask, said=said.append)
    shown.hear(b"with hunt")
    shown.hear(b"er2secret\nmo")
    assert said == ["with ********"]


@pytest.mark.parametrize(
    ("name", "file"),
    [("run@compute1", "run@compute1.log"), ("../../x", "-..-x.log"), ("a b/c", "a-b-c.log")],
)
def test_a_stage_s_name_is_the_name_of_a_file(name: str, file: str) -> None:
    assert file_name(name) == file


# --- the lines that matter


def matter(tmp_path: Path, text: str, start: int = 0) -> tuple[str, ...]:
    path = tmp_path / "x.log"
    path.write_text(text)
    return lines_that_matter(path, start)


def test_errors_are_found_above_chatter_and_colours(tmp_path: Path) -> None:
    chatter = "".join(f"chatter {number}\n" for number in range(100))
    text = (
        f"{chatter}E: Unable to locate package rabbit\n{chatter}"
        "\x1b[01;31mfatal: repository not found\x1b[0m\n"
        f"0 errors, 0 failed\n+ grep error x\nok=3 failed=0\n{chatter}"
    )
    assert matter(tmp_path, text) == (
        "E: Unable to locate package rabbit",
        "fatal: repository not found",
        "chatter 96",
        "chatter 97",
        "chatter 98",
        "chatter 99",
    )


@pytest.mark.parametrize("at", ["", "2016-05-11 10:00:00 ", "2026-11-28 10:00:00.123 | "])
def test_what_bash_is_about_to_run_is_no_error_whatever_is_written_before_it(
    tmp_path: Path, at: str
) -> None:
    run = f"{at}++ grep error x\n{at}+ functions:die:1 : echo 'failed'\n"
    failed = f"{at}E: the build failed"
    assert matter(tmp_path, f"{run}{failed}\n{run}done\n" + "more\n" * 4) == (failed, "more")


def test_only_the_step_s_own_part_counts_and_all_is_bounded(tmp_path: Path) -> None:
    before = "error of a step before\n"
    text = before + "".join(f"error {number} {'x' * 1000}\n" for number in range(5000))
    lines = matter(tmp_path, text, len(before))
    assert len(lines) == 12
    assert all(len(line) <= 240 for line in lines)
    assert lines[-1].startswith("error 4999")


def test_without_a_log_there_are_no_lines(tmp_path: Path) -> None:
    assert lines_that_matter(tmp_path / "none", 0) == ()
