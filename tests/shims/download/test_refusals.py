"""Servers that refuse, lie or never end."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacklab.errors import ImageError
from stacklab.images import download
from tests.shims.download.image_server import (
    CONTENT,
    Server,
    fetch,
    left,
    part_of,
    target,
    unused_url,
)


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_server_that_refuses_is_told_in_one_line_and_asked_once(
    server: Server, tmp_path: Path, status: int
) -> None:
    server.status = status
    with pytest.raises(ImageError) as caught:
        fetch(server.url, tmp_path)
    assert caught.value.message.startswith(f"{server.url}: {status} ")
    assert "\n" not in caught.value.message
    assert len(server.asked) == 1
    assert left(tmp_path) == []


def test_a_refused_connection_is_told_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    url = unused_url()
    with pytest.raises(ImageError) as caught:
        fetch(url, tmp_path)
    assert caught.value.message == f"{url} can't be had: [Errno 111] Connection refused"
    assert caught.value.hint is not None
    assert left(tmp_path) == []


def test_a_connection_that_ends_before_the_first_byte_leaves_nothing(
    server: Server, tmp_path: Path
) -> None:
    server.breaks_at = [0]
    with pytest.raises(ImageError, match="it ended early"):
        fetch(server.url, tmp_path)
    assert left(tmp_path) == []


def test_a_full_disk_is_told_as_that_at_once(server: Server, tmp_path: Path) -> None:
    part = part_of(target(server, tmp_path))
    part.symlink_to("/dev/full")
    with pytest.raises(ImageError, match=f"{part}: No space left on device"):
        fetch(server.url, tmp_path)
    assert len(server.asked) == 1


@pytest.mark.parametrize("length", ["abc", "-1", "1.5", "\u0661"])
def test_a_length_that_is_not_a_number_is_not_believed(
    server: Server, tmp_path: Path, length: str
) -> None:
    server.length = length.encode().decode("latin-1")
    assert fetch(server.url, tmp_path).read_bytes() == CONTENT


def test_a_length_of_more_digits_than_a_number_may_have_is_refused_at_once(
    server: Server, tmp_path: Path
) -> None:
    server.length = "9" * 5000
    with pytest.raises(ImageError, match="is larger than"):
        fetch(server.url, tmp_path)
    assert left(tmp_path) == []


def test_a_server_that_sends_almost_nothing_is_given_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_STALLED_AFTER_S", 0.1)
    server.pause_s = 0.02
    said: list[str] = []
    with pytest.raises(ImageError, match=r"can't be had: only \d+ bytes in 0\.1 s"):
        fetch(server.url, tmp_path, said)
    assert len(server.asked) == download._TRIES
    assert left(tmp_path) == [part_of(target(server, tmp_path)).name]


@pytest.mark.parametrize("tells_length", [True, False])
def test_a_body_without_end_does_not_fill_the_disk(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tells_length: bool
) -> None:
    monkeypatch.setattr(download, "_LARGEST_BYTES", 300_000)
    server.tells_length = tells_length
    with pytest.raises(ImageError, match=r"is larger than 0\.3 MiB"):
        fetch(server.url, tmp_path)
    assert len(server.asked) == 1
    assert left(tmp_path) == []
