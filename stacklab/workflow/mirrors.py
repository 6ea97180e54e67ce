"""Where this host fetches packages from: nodes do the same, and no mirror is ever written down."""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from stacklab.model import Mirrors

# In pip's own order: a later one goes before an earlier one.
_PIP_FILES = (Path("/etc/pip.conf"), Path("~/.pip/pip.conf"), Path("~/.config/pip/pip.conf"))


def host_mirrors(environ: Mapping[str, str] = os.environ, files: Sequence[Path] = _PIP_FILES) -> Mirrors:
    """The host's own index of Python packages, as pip finds it; "" where a node could not reach it.

    APT's mirror is in the base image already: it is made from the host's own sources.
    """
    parser = configparser.RawConfigParser()
    for file in files:
        try:
            parser.read(file.expanduser())
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue  # pip will say it better
    index = environ.get("PIP_INDEX_URL") or str(parser.get("global", "index-url", fallback=""))
    return Mirrors(pip=index if _is_reachable(index) else "")


def _is_reachable(url: str) -> bool:
    """Whether it is not on the host's own loopback, and carries no password that would end up on nodes."""
    parts = urlsplit(url)
    if not parts.hostname or parts.password or parts.hostname == "localhost":
        return False
    try:
        return not ip_address(parts.hostname).is_loopback
    except ValueError:
        return True
