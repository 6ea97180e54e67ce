"""Downloads against a real web server on loopback, which breaks off, forgets and lies as told."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab.errors import ImageError
from stacklab.images import download

CONTENT = hashlib.sha256(b"seed").digest() * 40_000  # 1.2 MiB: several chunks
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


class Server(http.server.ThreadingHTTPServer):
    """What it serves, how it misbehaves, and what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.honours_range = True
        self.tells_length = True
        self.length: str | None = None  # what it says instead of the true length
        self.pause_s = 0.0  # after each byte
        self.tells_range_size = True
        self.breaks_at: list[int] = []  # per answer: bytes sent before the connection is cut
        self.status = 200
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.asked: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/images/tiny.img"


class Handler(http.server.BaseHTTPRequestHandler):
    """Speaks HTTP/1.0: without a length, the end of the connection is the end of the file."""

    server: Server

    def do_HEAD(self) -> None:
        self.send_response(self.server.status)
        self.end_headers()

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(("GET", wanted))
        server.may_answer.wait(10)
        if server.status != 200:
            self.send_error(server.status)
            return
        start = 0
        if wanted and server.honours_range:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(server.content):
                self.send_response(416)
                if server.tells_range_size:
                    self.send_header("Content-Range", f"bytes */{len(server.content)}")
                self.end_headers()
                return
        self.send_response(206 if wanted and server.honours_range else 200)
        body = server.content[start:]
        if server.tells_length:
            self.send_header("Content-Length", server.length or str(len(body)))
        self.end_headers()
        if server.breaks_at:
            body = body[: server.breaks_at.pop(0)]
        if server.pause_s:
            with contextlib.suppress(OSError):  # the client broke off
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    time.sleep(server.pause_s)
            return
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.may_answer.set()
        made.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_pauses_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_PAUSE_S", 0.001)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def fetch(
    url: str, directory: Path, said: list[str] | None = None, *, digest: str = DIGEST
) -> Path:
    return download.fetch(url, digest, directory, say=(said if said is not None else []).append)


def left(directory: Path) -> list[str]:
    """What lies there besides locks."""
    return sorted(path.name for path in directory.iterdir() if path.suffix != ".lock")


def part_of(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def target(server: Server, directory: Path) -> Path:
    return directory / f"{DIGEST.replace(':', '-')[:23]}-tiny.img"


def unused_url() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/tiny.img"


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


def test_a_full_disk_is_told_as_that_at_once(server: Server, tmp_path: Path) -> None:
    part = part_of(target(server, tmp_path))
    part.symlink_to("/dev/full")
    with pytest.raises(ImageError, match=f"{part}: No space left on device"):
        fetch(server.url, tmp_path)
    assert len(server.asked) == 1


def test_progress_is_told(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_REPORT_EVERY_S", 0.0)
    said: list[str] = []
    fetch(server.url, tmp_path, said)
    assert any(re.match(r"downloaded [01]\.\d MiB of 1\.2 MiB, ", line) for line in said)
    assert said[-1] == "verifying the digest"


def test_a_source_is_reachable_when_it_answers(server: Server) -> None:
    assert download.is_reachable(server.url)


def test_a_source_is_not_reachable_when_it_refuses_or_is_not_there_or_is_no_url(
    server: Server,
) -> None:
    server.status = 404
    assert not download.is_reachable(server.url)
    assert not download.is_reachable(unused_url())
    assert not download.is_reachable("no url at all")


def test_a_source_that_never_answers_is_not_waited_for() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert not download.is_reachable(
            f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout_s=0.2
        )


def test_a_source_whose_headers_never_end_is_not_waited_for() -> None:
    """urlopen limits each piece, not all of them: a header every 20 ms kept it for minutes."""
    with socket.create_server(("127.0.0.1", 0)) as slow:
        is_over = threading.Event()

        def answer() -> None:
            connection, _ = slow.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.0 200 OK\r\n")
                while not is_over.wait(0.02):
                    connection.sendall(b"X-Padding: x\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        started = time.monotonic()
        assert not download.is_reachable(
            f"http://127.0.0.1:{slow.getsockname()[1]}/", timeout_s=0.3
        )
        assert time.monotonic() - started < 2
        is_over.set()
        thread.join()


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


def test_a_file_is_complete_when_the_whole_of_it_is_here(server: Server, tmp_path: Path) -> None:
    part_of(target(server, tmp_path)).write_bytes(CONTENT[:1000])
    assert not download.is_complete(server.url, DIGEST, tmp_path)
    fetch(server.url, tmp_path)
    assert download.is_complete(server.url, DIGEST, tmp_path)
