"""A lab's own checks of pages, against a real server."""

from __future__ import annotations

import dataclasses
import http.server
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab.checks.result import Reason
from stacklab.model.checks import CustomCheck, CustomKind
from tests.contract.custom_probes.probes import (
    FAILED,
    FOR_EVER_S,
    PASSED,
    closed_port,
    detail,
    one,
    run,
    runs_bash,
)

pytestmark = runs_bash


is_over = threading.Event()  # until then the slow page does not come


class _Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = {"/broken": 503, "/away": 302}.get(self.path, 200)
        if self.path == "/slow":
            is_over.wait(FOR_EVER_S)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/else")
        self.end_headers()
        self.wfile.write(f"page {self.path} é\n".encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that hang up are what is tested."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with _Server(("127.0.0.1", 0), _Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        is_over.set()
        server.shutdown()


def page(url: str, **keys: object) -> CustomCheck:
    made = CustomCheck(name="own", kind=CustomKind.HTTP, nodes=("one",), url=url, timeout_s=30.0)
    return dataclasses.replace(made, **keys)  # type: ignore[arg-type]


def test_a_page_is_held_to_its_status(shell: list[str], site: str) -> None:
    assert one(shell, page(f"{site}/")) == (PASSED, Reason.OK)
    assert one(shell, page(f"{site}/broken", http_status=503)) == (PASSED, Reason.OK)
    (result,) = run(shell, page(f"{site}/broken"))
    assert (result.status, result.reason) == (FAILED, Reason.WRONG_PAGE)
    assert "503" in result.detail
    assert "page /broken" in result.output
    (result,) = run(shell, page(f"{site}/away"))
    assert (result.status, result.reason) == (FAILED, Reason.WRONG_PAGE)
    assert "/else" in result.detail


def test_a_page_is_held_to_its_text(shell: list[str], site: str) -> None:
    assert one(shell, page(f"{site}/a?b=c&d='e'", text="page /a?b=c&d='e' é"))[0] is PASSED
    assert "`pages`" in detail(shell, page(f"{site}/", text="pages"))


def test_a_page_that_does_not_come_has_its_time(shell: list[str], site: str) -> None:
    (result,) = run(shell, page(f"{site}/slow", timeout_s=1))
    assert result.status is FAILED
    # Python gives up itself, or timeout(1) ends it, where it took a second to start.
    assert result.reason in (Reason.WRONG_PAGE, Reason.TIMED_OUT)
    assert "1 s" in result.detail


def test_what_is_no_page_is_told_by_its_cause(shell: list[str], site: str) -> None:
    for own, word in (
        (page("http://nosuch.invalid/"), "name"),
        (page(f"http://127.0.0.1:{closed_port()}/"), "refused"),
        (page(site.replace("http:", "https:")), "TLS"),
    ):
        (result,) = run(shell, own)
        assert (result.status, result.reason) == (FAILED, Reason.WRONG_PAGE)
        assert word in result.detail


def test_a_server_that_speaks_something_else_is_no_page(shell: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            peer, _ = server.accept()
            with peer:
                peer.sendall(b"SSH-2.0-nothing\r\n")
                peer.recv(1, socket.MSG_PEEK)
                time.sleep(1.0)  # ample to read the line in
                # As sshd does, it hangs up without reading what it was asked: a reset.

        threading.Thread(target=greet, daemon=True).start()
        (result,) = run(shell, page(f"http://127.0.0.1:{server.getsockname()[1]}/"))
    assert (result.status, result.reason) == (FAILED, Reason.WRONG_PAGE)
    assert "SSH-2.0-nothing" in result.detail


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_certificate_that_nobody_vouches_for_is_refused_loudly(
    shell: list[str], tmp_path: Path
) -> None:
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1"]
    files = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "cert")]
    subprocess.run([*argv, *files], check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    with _Server(("127.0.0.1", 0), _Pages) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (result,) = run(shell, page(f"https://127.0.0.1:{server.server_address[1]}/"))
        server.shutdown()
    assert result.status is FAILED
    assert result.detail.startswith("CERTIFICATE NOT TRUSTED: "), "loudly"


def test_a_page_is_tried_again(shell: list[str], site: str) -> None:
    check = page(f"{site}/broken", retries=1, interval_s=0.1)
    assert one(shell, check) == (FAILED, Reason.WRONG_PAGE)
    assert "2 of 2" in detail(shell, check)
