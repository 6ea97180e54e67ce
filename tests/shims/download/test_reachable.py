"""Whether a source answers at all."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from stacklab.images import download
from tests.shims.download.image_server import Server, unused_url


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
        assert time.monotonic() - started < 20
        is_over.set()
        thread.join()
