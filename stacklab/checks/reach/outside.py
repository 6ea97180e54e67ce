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


def name_of(place: str) -> str:
    """Return the name or the address of "NAME:PORT"."""
    return place.rpartition(":")[0]


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


def controls(lab: Lab, facts: Facts) -> dict[str, Tried]:
    """Return places outside that the host reaches, by "ADDRESS:PORT": a closed node must not.

    By address, since a closed node does not know names either.
    """
    reached: dict[str, Tried] = {}
    for place, tried in facts.tried.items():
        # A mirror on the lab's own network is not outside: even a closed node may reach it.
        if tried.is_open and tried.address and not is_inside(lab, f"{tried.address}:0"):
            port = place.rpartition(":")[2]
            reached[f"{tried.address}:{port}"] = tried
    return dict(list(reached.items())[:_CONTROLS_MAX])


def known_names(facts: Facts) -> list[str]:
    """Return two names outside that the host knows: a closed node must not know them."""
    known: dict[str, None] = {}
    for place, tried in facts.tried.items():
        name = name_of(place)
        if tried.address and not is_address(name):
            known[name] = None
    return list(known)[:2]


def host_needs(lab: Lab, mirrors: Mirrors) -> Needs:
    """Return what the host has to connect to itself: all that any node of the lab needs."""
    mirrored = mirrored_places(lab, mirrors)
    wanted: list[str] = []
    for node in lab.nodes:
        wanted += [mirrored.get(place, place) for place in places(lab, node) if place != PACKAGES]
    return Needs(places=tuple(wanted), instead=mirrored, needs_package_mirrors=True)


def is_open(lab: Lab, node: Node) -> bool:
    """Return True if a node has a way out: its default route can only be its first NIC's."""
    return lab.network(node.access.network).mode is not NetworkMode.ISOLATED


def is_inside(lab: Lab, place: str) -> bool:
    """Return True if a place is on one of the lab's networks, as a mirror on the host may be."""
    name = name_of(place)
    if not is_address(name):
        return False
    address = IPv4Address(name)
    return any(address in network.cidr for network in lab.networks)


def is_address(name: str) -> bool:
    """Return True if a name is an IPv4 address."""
    try:
        IPv4Address(name)
    except ValueError:
        return False
    return True
