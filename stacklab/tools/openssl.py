"""The program `openssl`: a certificate for a lab's APIs, signed by an authority of its own."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path

from stacklab.model import certificate
from stacklab.model.certificate import ServerName
from stacklab.process.command import Command, Runner

_DAYS = "3650"  # a lab is gone long before
_SERIAL_BITS = 63
_LONGEST_NAME = 64  # of a CN
# Python 3.13 holds certificates against RFC 5280 to the letter: critical, and with both key ids.
_CONFIG = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = {title}
[authority]
basicConstraints = critical, CA:true, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:{host}, IP:{address}
"""
# Small and quick, also where a node is emulated.
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def kept_or_new(runner: Runner, folder: Path, server: ServerName, kept: str) -> str:
    """Return the text that was kept if it is for this server, else a new one.

    Keys lie below `folder` for a moment, in a directory that only its owner reads.
    """
    if certificate.is_for(kept, server):
        return kept
    with tempfile.TemporaryDirectory(prefix="certificate-", dir=folder) as directory:
        for argv in _argvs(server, Path(directory)):
            command = Command(argv=argv, what="making the certificate of the APIs", timeout_s=60)
            runner.run(command)
        made = [Path(directory, name).read_text() for name in ("key", "server", "authority")]
    return certificate.keep(server, *made)


def _argvs(server: ServerName, directory: Path) -> Sequence[tuple[str, ...]]:
    """Write the configuration, and return the commands: authority, request, certificate."""
    config = directory / "config"
    config.write_text(
        _CONFIG.format(
            title=f"stacklab {server.lab}"[:_LONGEST_NAME],
            host=server.host,
            address=server.address,
        )
    )

    def file(name: str) -> str:
        return str(directory / name)

    request = ("openssl", "req", "-config", str(config), "-batch", *_NEW_KEY)
    authority = (
        *request, "-x509", "-extensions", "authority", "-days", _DAYS,
        "-keyout", file("authority-key"), "-out", file("authority"),
    )  # fmt: skip
    wish = (*request, "-subj", f"/CN={server.host}", "-keyout", file("key"), "-out", file("wish"))
    signed = (
        "openssl", "x509", "-req", "-in", file("wish"), "-days", _DAYS,
        "-CA", file("authority"), "-CAkey", file("authority-key"),
        # Browsers refuse a second certificate with the same number of an authority of that name.
        "-set_serial", str(secrets.randbits(_SERIAL_BITS)),
        "-extfile", str(config), "-extensions", "server", "-out", file("server"),
    )  # fmt: skip
    return authority, wish, signed
