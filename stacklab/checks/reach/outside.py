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
    apt, proxy = lab.stack.mirrors.apt, lab.stack.proxy.http
    packages = PACKAGES
    if apt:
        packages = _dialled_place(lab, apt)
    elif proxy:
        packages = place_of(proxy)
    others = (_dialled_place(lab, source.url) for source in remote_sources(lab, node))
    return tuple(dict.fromkeys(filter(None, (packages, *others))))


def _dialled_place(lab: Lab, url: str) -> str:
    """Return the place that a node connects to for a URL.

    That is the proxy, if the lab has one and does not except the URL.
    """
    proxy = lab.stack.proxy
    through = proxy.https or proxy.http
    if urlsplit(url).scheme == "http":
        through = proxy.http
    if through and not _is_direct(lab, url):
        return place_of(through)
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
    mirrored = {}
    for node in lab.nodes:
        for source in remote_sources(lab, node):
            mirror = _mirror_of(lab, mirrors, source.kind, source.url)
            if mirror:
                mirrored[_dialled_place(lab, source.url)] = _dialled_place(lab, mirror)
    return {old: new for old, new in mirrored.items() if old and new}


def _mirror_of(lab: Lab, mirrors: Mirrors, kind: SourceKind, url: str) -> str:
    """Return the host's mirror of a URL; "" if there is not one."""
    if kind is SourceKind.PIP:
        # A mirror that the spec names is not replaced by the host's.
        return "" if lab.stack.mirrors.pip else mirrors.pip
    if kind is not SourceKind.GIT:
        return ""
    # git takes the longest prefix that fits
    fitting = [(old, new) for new, old in mirrors.git if f"{url}/".startswith(old)]
    if not fitting:
        return ""
    _, mirror = max(fitting, key=lambda pair: len(pair[0]))
    return mirror


def host_needs(lab: Lab, mirrors: Mirrors) -> Needs:
    """Return what the host has to connect to itself: all that any node of the lab needs."""
    mirrored = mirrored_places(lab, mirrors)
    wanted = [place for node in lab.nodes for place in places(lab, node) if place != PACKAGES]
    return Needs(
        places=tuple(mirrored.get(place, place) for place in wanted),
        instead=mirrored,
        needs_package_mirrors=True,
    )
