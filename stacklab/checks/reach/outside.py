"""The places outside the lab that a stack needs, derived from the spec.

It is a handful of places, "NAME:PORT"; the mirror of packages that the image brought
along is read on the node. A node whose first NIC is on a network without a way out is
closed.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from stacklab.checks.family import Needs
from stacklab.checks.reach.outside_places import PACKAGES, place_of
from stacklab.installers import remote_sources
from stacklab.installers.kit.sources import SourceKind
from stacklab.model.lab import Lab, Node
from stacklab.model.stack import Mirrors


def places(lab: Lab, node: Node) -> tuple[str, ...]:
    """List what a node needs of the outside, each once: PACKAGES or "NAME:PORT".

    Where the node goes by a proxy, the proxy is the place.
    """
    wanted = [_packages_place(lab)]
    wanted += [_dialled_place(lab, source.url) for source in remote_sources(lab, node)]
    # Without "": a local path in place of a URL is nothing to connect to.
    return tuple(dict.fromkeys(filter(None, wanted)))


def _packages_place(lab: Lab) -> str:
    """Return where a node's packages come from; PACKAGES if only the node knows."""
    apt_mirror = lab.stack.mirrors.apt
    if apt_mirror:
        return _dialled_place(lab, apt_mirror)
    if lab.stack.proxy.http:
        return place_of(lab.stack.proxy.http)
    return PACKAGES


def _dialled_place(lab: Lab, url: str) -> str:
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


def mirrored_places(lab: Lab, mirrors: Mirrors) -> Mapping[str, str]:
    """Map the places that nodes avoid to the host's own mirrors that they were given instead."""
    mirrored: dict[str, str] = {}
    sources = [source for node in lab.nodes for source in remote_sources(lab, node)]
    for source in sources:
        mirror_url = _mirror_of(lab, mirrors, source.kind, source.url)
        if not mirror_url:
            continue
        mirrored[_dialled_place(lab, source.url)] = _dialled_place(lab, mirror_url)
    return {place: mirror for place, mirror in mirrored.items() if place and mirror}


def _mirror_of(lab: Lab, mirrors: Mirrors, kind: SourceKind, url: str) -> str:
    """Return the host's mirror of a URL; "" if there is not one."""
    if kind is SourceKind.PIP:
        # A mirror that the spec names is not replaced by the host's.
        return "" if lab.stack.mirrors.pip else mirrors.pip
    if kind is not SourceKind.GIT:
        return ""
    fitting = [pair for pair in mirrors.git if f"{url}/".startswith(pair[1])]
    # Like git's url.MIRROR.insteadOf: it takes the longest prefix that fits.
    mirror, _ = max(fitting, key=lambda pair: len(pair[1]), default=("", ""))
    return mirror


def host_needs(lab: Lab, mirrors: Mirrors) -> Needs:
    """Return what the host has to connect to itself: all that any node of the lab needs."""
    mirrored = mirrored_places(lab, mirrors)
    wanted: list[str] = []
    for node in lab.nodes:
        wanted += [mirrored.get(place, place) for place in places(lab, node) if place != PACKAGES]
    return Needs(places=tuple(wanted), instead=mirrored, needs_package_mirrors=True)
