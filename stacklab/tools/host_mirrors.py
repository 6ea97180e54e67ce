"""Where this host fetches packages from: nodes do the same, and no mirror is ever written down."""

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

# In pip's own order: a later one goes before an earlier one.
_PIP_FILES = (Path("/etc/pip.conf"), Path("~/.pip/pip.conf"), Path("~/.config/pip/pip.conf"))
# Where Debian's and Red Hat's tools look for what an administrator trusts.
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
    """The host's own index of Python packages, replacements of git's URLs, and authorities.

    What a node could not reach is left out, and what has a password in it. APT's
    mirror is in the base image already: it is made from the host's own sources.
    Where a company's proxy looks into TLS, nodes must trust whom the host trusts.
    """
    return Mirrors(
        pip=_pip_index(environ, files), git=_git_urls(runner), authorities=_authorities(trusted)
    )


def _authorities(directories: Sequence[Path]) -> tuple[tuple[str, str], ...]:
    found = []
    for directory in directories:
        for path in sorted(directory.glob("*.crt")) + sorted(directory.glob("*.pem")):
            try:
                text = path.read_text()
            except (OSError, UnicodeDecodeError):
                continue
            if _CERTIFICATES.fullmatch(text):  # nothing else, and no private key
                found.append((re.sub(r"[^A-Za-z0-9_-]", "-", path.stem), text.strip() + "\n"))
    return tuple(found)


def _pip_index(environ: Mapping[str, str], files: Sequence[Path]) -> str:
    parser = configparser.RawConfigParser()
    for file in files:
        try:
            parser.read(file.expanduser())
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue  # pip will say it better
    index = environ.get("PIP_INDEX_URL") or str(parser.get("global", "index-url", fallback=""))
    return index if _is_reachable(index) else ""


def _git_urls(runner: Runner) -> tuple[tuple[str, str], ...]:
    """(Mirror, beginning of a URL that it stands for): `url.<mirror>.insteadOf` of the system and the user."""
    argv = ("git", "config", "--get-regexp", r"^url\..*\.insteadof$")
    command = Command(
        argv=argv, cwd=Path("/"), what="reading git's settings", ok_codes=(0, 1), timeout_s=10
    )
    try:
        lines = runner.run(command).stdout.splitlines()
    except ToolError:
        return ()
    found = []
    for line in lines:
        key, _, replaced = line.partition(" ")
        mirror = key.removeprefix("url.").rpartition(".")[0]
        if (
            urlsplit(mirror).scheme in ("http", "https", "git")
            and _is_reachable(mirror)
            and _PLAIN.fullmatch(replaced)
        ):
            found.append((mirror, replaced))
    return tuple(found)


def _is_reachable(url: str) -> bool:
    """Whether it is not on the host's own loopback, and carries no password that would end up on nodes."""
    parts = urlsplit(url)
    if not parts.hostname or "@" in parts.netloc or parts.query or parts.hostname == "localhost":
        return False
    try:
        return not ip_address(parts.hostname).is_loopback
    except ValueError:
        return True
