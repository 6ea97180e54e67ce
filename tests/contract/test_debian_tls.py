"""TLS of the debian kit, by real programs: the wait through it."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import HTTPServer
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from stacklab.installers import rendering as answers
from stacklab.installers.debian.answers import tls
from stacklab.installers.debian.answers.files import FOLDER
from stacklab.model import certificate
from stacklab.model.certificate import ServerName
from stacklab.process import SubprocessRunner
from stacklab.tools import openssl
from tests.contract.test_debian_scripts import Answering, wait
from tests.unit.installers.debian.test_debian_tls import LAB

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
FILES = answers.preview(LAB)
HERE = ServerName(lab="here", host="localhost", address=IPv4Address("127.0.0.1"))


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A node with a compute's script, and the certificate of 127.0.0.1."""
    kept = openssl.kept_or_new(SubprocessRunner(), tmp_path, HERE, "")
    (tmp_path / "authority.pem").write_text(certificate.authority_pem(kept))
    (tmp_path / "server.pem").write_text(certificate.server_pem(kept))
    script = FILES["compute1"][FOLDER / "usr/local/sbin/stacklab-wait"]
    (tmp_path / "wait").write_text(script.replace(tls.AUTHORITY, str(tmp_path / "authority.pem")))
    return tmp_path


@pytest.fixture
def port(world: Path) -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Answering)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(world / "server.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
class TestWaiting:
    def test_what_answers_through_tls_is_not_waited_for(self, world: Path, port: int) -> None:
        assert wait(world, f"https:127.0.0.1:{port}").returncode == 0

    def test_an_api_that_is_broken_is_waited_for(
        self, world: Path, port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Answering, "status", 503)
        assert wait(world, f"https:127.0.0.1:{port}", limit_s=3).returncode == 124

    def test_nobody_else_is_taken_for_the_lab_s_server(self, world: Path, port: int) -> None:
        other = openssl.kept_or_new(SubprocessRunner(), world, HERE, "")
        (world / "authority.pem").write_text(certificate.authority_pem(other))
        assert wait(world, f"https:127.0.0.1:{port}", limit_s=3).returncode == 124


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="there is no shellcheck")
def test_shellcheck_finds_nothing_in_the_wait(world: Path) -> None:
    done = subprocess.run(
        ("shellcheck", str(world / "wait")), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
