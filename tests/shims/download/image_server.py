"""A real web server on loopback, which breaks off, forgets and lies as told."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

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
