"""An image is fetched whole, or taken up where it broke."""

from __future__ import annotations

import hashlib
import re
import threading
from pathlib import Path

import pytest

from stacklab.errors import ImageError
from stacklab.images import download
from tests.shims.download.image_server import CONTENT, DIGEST, Server, fetch, left, part_of, target


def test_a_whole_file_is_fetched_once_and_kept_read_only(server: Server, tmp_path: Path) -> None:
    path = fetch(server.url, tmp_path)
    assert path == target(server, tmp_path)
    assert path.read_bytes() == CONTENT
    assert path.stat().st_mode & 0o777 == 0o444
    assert fetch(server.url, tmp_path) == path
    assert server.asked == [("GET", None)]
    assert left(tmp_path) == [path.name]


def test_a_sha512_pin_is_checked_as_that(server: Server, tmp_path: Path) -> None:
    digest = f"sha512:{hashlib.sha512(CONTENT).hexdigest()}"
    assert fetch(server.url, tmp_path, digest=digest).read_bytes() == CONTENT


def test_a_cut_connection_is_taken_up_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.breaks_at = [500_000, 300_000]
    said: list[str] = []
    assert fetch(server.url, tmp_path, said).read_bytes() == CONTENT
    assert server.asked == [("GET", None), ("GET", "bytes=500000-"), ("GET", "bytes=800000-")]
    assert "connection broken (it ended early); going on at 0.5 MiB, try 1 of 5" in said


def test_a_download_that_gets_on_is_not_given_up_however_often_it_breaks(
    server: Server, tmp_path: Path
) -> None:
    server.breaks_at = [100_000] * 12
    assert fetch(server.url, tmp_path).read_bytes() == CONTENT
    assert len(server.asked) == 13


def test_a_server_that_ignores_the_range_starts_again(server: Server, tmp_path: Path) -> None:
    server.honours_range = False
    server.breaks_at = [500_000]
    assert fetch(server.url, tmp_path).read_bytes() == CONTENT
    assert server.asked == [("GET", None), ("GET", "bytes=500000-")]


def test_a_server_that_always_breaks_at_one_place_is_given_up_and_its_part_kept(
    server: Server, tmp_path: Path
) -> None:
    server.honours_range = False
    server.breaks_at = [500_000] * 50
    with pytest.raises(ImageError, match="can't be had: it ended early"):
        fetch(server.url, tmp_path)
    assert len(server.asked) == 1 + download._TRIES
    assert left(tmp_path) == [part_of(target(server, tmp_path)).name]


def test_the_part_of_an_earlier_run_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    part_of(target(server, tmp_path)).write_bytes(CONTENT[:1000])
    assert fetch(server.url, tmp_path).read_bytes() == CONTENT
    assert server.asked == [("GET", "bytes=1000-")]


def test_a_part_that_is_whole_already_is_taken_as_it_is(server: Server, tmp_path: Path) -> None:
    part_of(target(server, tmp_path)).write_bytes(CONTENT)
    assert fetch(server.url, tmp_path).read_bytes() == CONTENT
    assert len(server.asked) == 1


@pytest.mark.parametrize("tells_range_size", [True, False])
def test_a_part_longer_than_the_file_is_thrown_away(
    server: Server, tmp_path: Path, tells_range_size: bool
) -> None:
    server.tells_range_size = tells_range_size
    part_of(target(server, tmp_path)).write_bytes(CONTENT + b"and more")
    assert fetch(server.url, tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [f"bytes={len(CONTENT) + 8}-", None]


def test_a_server_that_tells_no_length_is_believed_and_the_digest_checked(
    server: Server, tmp_path: Path
) -> None:
    server.tells_length = False
    assert fetch(server.url, tmp_path).read_bytes() == CONTENT
    server.content = CONTENT[::-1]
    with pytest.raises(ImageError, match="is not what the catalogue pins"):
        fetch(server.url, tmp_path / "other")


def test_what_is_not_what_was_pinned_is_kept_aside_and_never_used(
    server: Server, tmp_path: Path
) -> None:
    server.content = b"evil" * 1000
    with pytest.raises(ImageError, match="is not what the catalogue pins") as caught:
        fetch(server.url, tmp_path)
    refused = target(server, tmp_path).with_name(target(server, tmp_path).name + ".refused")
    assert left(tmp_path) == [refused.name]
    for word in (server.url, DIGEST, hashlib.sha256(server.content).hexdigest(), str(refused)):
        assert word in caught.value.message
    server.content = CONTENT
    assert fetch(server.url, tmp_path).read_bytes() == CONTENT
    assert server.asked == [("GET", None), ("GET", None)]


def test_a_file_that_was_changed_after_its_download_is_fetched_again(
    server: Server, tmp_path: Path
) -> None:
    path = fetch(server.url, tmp_path)
    path.chmod(0o644)
    path.write_bytes(b"changed")
    assert fetch(server.url, tmp_path).read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_two_who_want_the_same_file_download_it_once(server: Server, tmp_path: Path) -> None:
    server.may_answer.clear()
    results: list[Path] = []
    said: list[str] = []
    waits = threading.Event()

    def say(text: str) -> None:
        said.append(text)
        waits.set()

    def want() -> None:
        results.append(download.fetch(server.url, DIGEST, tmp_path, say=lambda text: say(text)))

    threads = [threading.Thread(target=want) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert waits.wait(5)
    assert "waiting for process" in said[0]
    server.may_answer.set()
    for thread in threads:
        thread.join(10)
    assert results == [target(server, tmp_path)] * 2
    assert server.asked == [("GET", None)]


def test_progress_is_told(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_REPORT_EVERY_S", 0.0)
    said: list[str] = []
    fetch(server.url, tmp_path, said)
    assert any(re.match(r"downloaded [01]\.\d MiB of 1\.2 MiB, ", line) for line in said)
    assert said[-1] == "verifying the digest"


def test_a_file_is_complete_when_the_whole_of_it_is_here(server: Server, tmp_path: Path) -> None:
    part_of(target(server, tmp_path)).write_bytes(CONTENT[:1000])
    assert not download.is_complete(server.url, DIGEST, tmp_path)
    fetch(server.url, tmp_path)
    assert download.is_complete(server.url, DIGEST, tmp_path)
