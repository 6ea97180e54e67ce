from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from invoke import Exit

from stacklab.cli import streams


def written_to(path: str) -> int:
    """A descriptor that is open for writing to that path."""
    return os.open(path, os.O_WRONLY)


@pytest.fixture
def full() -> Iterator[int]:
    descriptor = written_to("/dev/full")
    yield descriptor
    os.close(descriptor)


def test_an_error_of_another_file_is_not_taken_for_one_of_stdout() -> None:
    with pytest.raises(OSError, match="No space") as caught, streams.written_out():
        Path("/dev/full").write_text("x")
    assert not isinstance(caught.value, streams.StdoutFailed | Exit)


def test_stdout_that_is_full_is_told_apart(full: int) -> None:
    with pytest.raises(streams.StdoutFailed):
        streams._Stdout(full).write(b"x")


def test_stderr_that_is_full_is_written_to_nowhere(full: int) -> None:
    assert streams._Stderr(full).write(b"four") == 4


def test_streams_of_somebody_else_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sys.stdout, sys.stderr  # pytest's
    streams.prepare()
    assert (sys.stdout, sys.stderr) == before


def test_a_large_text_is_written_whole(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        streams._Stdout(writer).write(b"x")
    os.close(writer)
    (tmp_path / "file").touch()
    descriptor = written_to(str(tmp_path / "file"))
    assert streams._Stdout(descriptor).write(b"x" * 3_000_000) == 3_000_000
    os.close(descriptor)
    assert (tmp_path / "file").stat().st_size == 3_000_000
