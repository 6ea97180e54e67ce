"""The way from a node to a source: the proxy or the mirror that it really connects to."""

from __future__ import annotations

from urllib.parse import urlsplit

from stacklab.installers.kit.sources import RemoteSource, SourceKind
from stacklab.model.lab import Lab
from stacklab.model.stack import Mirrors

_PORTS = {"http": 80, "https": 443, "git": 9418, "ssh": 22}


def place_of(url: str) -> str:
    """Return NAME:PORT of a URL; "" where it names none."""
    parts = urlsplit(url)
    try:
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:  # urlsplit reads the port only when it is asked for it
        return ""
    if parts.hostname and port:
        return f"{parts.hostname}:{port}"
    return ""


def dialled_place(lab: Lab, url: str) -> str:
    """Return the place that a node connects to for a URL.

    That is the proxy, if the lab has one and does not except the URL.
    """
    proxy = lab.stack.proxy
    proxy_url = proxy.https or proxy.http
    if urlsplit(url).scheme == "http":
        proxy_url = proxy.http
    if proxy_url and not _is_direct(lab, url):
        return place_of(proxy_url)
    return place_of(url)


def _is_direct(lab: Lab, url: str) -> bool:
    """Return True if a URL's name is excepted from the proxy, itself or with its domain."""
    name = urlsplit(url).hostname or ""
    for excepted in lab.stack.proxy.no_proxy:
        domain = excepted.lstrip(".")
        if name == domain or name.endswith(f".{domain}"):
            return True
    return False


def mirror_of(lab: Lab, mirrors: Mirrors, source: RemoteSource) -> str:
    """Return the URL of the host's mirror that stands for a source's own; "" without one."""
    if source.kind is SourceKind.PIP:
        # A mirror that the spec names is not replaced by the host's.
        return "" if lab.stack.mirrors.pip else mirrors.pip
    if source.kind is not SourceKind.GIT:
        return ""
    fitting = [pair for pair in mirrors.git if f"{source.url}/".startswith(pair[1])]
    if not fitting:
        return ""
    # Like git's url.MIRROR.insteadOf: it takes the longest prefix that fits.
    mirror, replaced = max(fitting, key=lambda pair: len(pair[1]))
    return mirror + source.url[len(replaced) :]
