"""The mirrors that this host is configured for, so that its nodes can use the same ones."""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from stacklab.errors import ToolError
from stacklab.model.stack import Mirrors
from stacklab.process import Command, Runner

# In the order in which pip reads them: a later file overrides an earlier one.
_PIP_FILES = (Path("/etc/pip.conf"), Path("~/.pip/pip.conf"), Path("~/.config/pip/pip.conf"))
# Certificates that the administrator added, on Debian and on Red Hat.
_AUTHORITIES = (Path("/usr/local/share/ca-certificates"), Path("/etc/pki/ca-trust/source/anchors"))
_CERTIFICATES = re.compile(
    r"\s*(-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*)+"
)
_PLAIN = re.compile(r"[A-Za-z0-9._~:/@+-]+")


def host_mirrors(
    runner: Runner,
    environ: Mapping[str, str] = os.environ,
    files: Sequence[Path] = _PIP_FILES,
    trusted: Sequence[Path] = _AUTHORITIES,
) -> Mirrors:
    """Return the host's index of Python packages, its replacements of git URLs, and certificates.

    URLs that a node could not reach are left out, and those with a password. The APT mirror is in
    the base image already, which is made from the host's own sources. The certificates are for
    networks whose proxy decrypts TLS: there, nodes must trust the authorities that the host trusts.
    """
    return Mirrors(
        pip=_read_pip_index(environ, files),
        git=_read_git_urls(runner),
        authorities=_read_authorities(trusted),
    )


def _read_authorities(directories: Sequence[Path]) -> tuple[tuple[str, str], ...]:
    """Return (name, certificates) for each file that holds such and nothing else."""
    certificates = []
    for directory in directories:
        paths = [*sorted(directory.glob("*.crt")), *sorted(directory.glob("*.pem"))]
        for path in paths:
            try:
                text = path.read_text()
            except (OSError, UnicodeDecodeError):
                continue
            if _CERTIFICATES.fullmatch(text):  # certificates only, not a private key
                name = re.sub(r"[^A-Za-z0-9_-]", "-", path.stem)
                certificates.append((name, text.strip() + "\n"))
    return tuple(certificates)


def _read_pip_index(environ: Mapping[str, str], files: Sequence[Path]) -> str:
    parser = configparser.RawConfigParser()
    for file in files:
        try:
            parser.read(file.expanduser())
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue  # pip explains it better when it is used
    configured = str(parser.get("global", "index-url", fallback=""))
    # As in pip, the environment goes before all files.
    index = environ.get("PIP_INDEX_URL") or configured
    return index if _is_reachable(index) else ""


def _read_git_urls(runner: Runner) -> tuple[tuple[str, str], ...]:
    """Return (mirror, start of the URLs that it replaces): git's `url.MIRROR.insteadOf`."""
    argv = ("git", "config", "--get-regexp", r"^url\..*\.insteadof$")
    command = Command(
        argv=argv,
        cwd=Path("/"),  # not a repository, whose own settings would count
        what="reading git's settings",
        ok_codes=(0, 1),  # 1: there is no such setting
        timeout_s=10,
    )
    try:
        lines = runner.run(command).stdout.splitlines()
    except ToolError:
        return ()
    replacements = []
    for line in lines:
        key, _, replaced = line.partition(" ")
        mirror = key.removeprefix("url.").rpartition(".")[0]
        is_network_url = urlsplit(mirror).scheme in ("http", "https", "git")
        # The text ends up in shell code on the nodes.
        if is_network_url and _is_reachable(mirror) and _PLAIN.fullmatch(replaced):
            replacements.append((mirror, replaced))
    return tuple(replacements)


def _is_reachable(url: str) -> bool:
    """Return True if nodes can use a URL: not on the host's loopback, and without a password."""
    parts = urlsplit(url)
    if parts.hostname in (None, "", "localhost"):
        return False
    # A query may hold a token.
    if "@" in parts.netloc or parts.query:
        return False
    try:
        return not ip_address(parts.hostname).is_loopback
    except ValueError:
        return True  # a name
