"""The certificate of a lab's APIs, made by the real openssl and held against Python's own TLS."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import ssl
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from stacklab.model import certificate
from stacklab.model.certificate import ServerName
from stacklab.process import SubprocessRunner
from stacklab.tools import openssl

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
SERVER = ServerName(lab="t" * 70, host="controller", address=IPv4Address("192.0.2.10"))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> str:
    return openssl.kept_or_new(SubprocessRunner(), tmp_path_factory.mktemp("tls"), SERVER, "")


def shake_hands(tmp_path: Path, kept: str, name: str, authority: str) -> None:
    """Have a client that is as strict as Python 3.13 meet the server; raises SSLError."""
    (tmp_path / "server.pem").write_text(certificate.server_pem(kept))
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(tmp_path / "server.pem")
    client_side = ssl.create_default_context(cadata=authority)
    client_side.verify_flags |= ssl.VERIFY_X509_STRICT
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    client = client_side.wrap_bio(to_client, to_server, server_hostname=name)
    for _ in range(4):
        for side in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):  # the other side is next
                side.do_handshake()
    assert client.version() == "TLSv1.3"


@pytest.mark.parametrize("name", ["192.0.2.10", "controller"])
def test_a_strict_client_knows_the_server_by_its_address_and_by_its_name(
    tmp_path: Path, kept: str, name: str
) -> None:
    assert certificate.is_for(kept, SERVER)
    shake_hands(tmp_path, kept, name, certificate.authority_pem(kept))


def test_a_client_refuses_it_for_another_address_and_from_another_authority(
    tmp_path: Path, kept: str
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake_hands(tmp_path, kept, "192.0.2.11", certificate.authority_pem(kept))
    namesake = dataclasses.replace(SERVER)
    other = openssl.kept_or_new(SubprocessRunner(), tmp_path, namesake, "")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(tmp_path, kept, "192.0.2.10", certificate.authority_pem(other))
