"""The places outside the lab that a stack needs, derived from the spec.

It is a handful of places, "NAME:PORT"; the mirror of packages that the image brought
along is read on the node. A node whose first NIC is on a network without a way out is
closed.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address
from urllib.parse import urlsplit

from stacklab.checks.family import Facts, Needs, Tried
from stacklab.installers.facts import remote_sources
from stacklab.installers.kit.sources import SourceKind
from stacklab.model.lab import Lab, NetworkMode, Node
from stacklab.model.stack import Mirrors

PACKAGES = "packages"  # in place of a place: the mirror that the node's own sources name
_PORTS = {"http": 80, "https": 443, "git": 9418, "ssh": 22}
_CONTROLS_MAX = 4  # of a closed node: places that it must not reach


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


def place_of(url: str) -> str:
    """Return NAME:PORT of a URL; "" where it names none."""
    parts = urlsplit(url)
    try:
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return ""
    if parts.hostname and port:
        return f"{parts.hostname}:{port}"
    return ""


def name_of(place: str) -> str:
    """Return the name or the address of "NAME:PORT"."""
    return place.rpartition(":")[0]


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


def controls(lab: Lab, facts: Facts) -> dict[str, Tried]:
    """Return places outside that the host reaches, by "ADDRESS:PORT": a closed node must not."""
    reached: dict[str, Tried] = {}
    for place, tried in facts.tried.items():
        if tried.is_open and tried.address and not is_inside(lab, f"{tried.address}:0"):
            port = place.rpartition(":")[2]
            reached[f"{tried.address}:{port}"] = tried
    return dict(list(reached.items())[:_CONTROLS_MAX])


def known_names(facts: Facts) -> list[str]:
    """Return two names outside that the host knows: a closed node must not know them."""
    names = (name_of(place) for place, tried in facts.tried.items() if tried.address)
    return [name for name in dict.fromkeys(names) if not is_address(name)][:2]


def host_needs(lab: Lab, mirrors: Mirrors) -> Needs:
    """Return what the host has to connect to itself: all that any node of the lab needs."""
    mirrored = mirrored_places(lab, mirrors)
    wanted = [place for node in lab.nodes for place in places(lab, node) if place != PACKAGES]
    return Needs(
        places=tuple(mirrored.get(place, place) for place in wanted),
        instead=mirrored,
        needs_package_mirrors=True,
    )


def is_open(lab: Lab, node: Node) -> bool:
    """Return True if a node has a way out: its default route can only be its first NIC's."""
    return lab.network(node.access.network).mode is not NetworkMode.ISOLATED


def is_inside(lab: Lab, place: str) -> bool:
    """Return True if a place is on one of the lab's networks, as a mirror on the host may be."""
    name = name_of(place)
    return is_address(name) and any(IPv4Address(name) in network.cidr for network in lab.networks)


def is_address(name: str) -> bool:
    """Return True if a name is an IPv4 address."""
    try:
        IPv4Address(name)
    except ValueError:
        return False
    return True
