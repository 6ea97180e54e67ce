"""What a stack needs of the world outside the lab, derived from the spec.

It is a handful of places, "NAME:PORT"; the mirror of packages that the image brought
along is read on the node. A node whose first NIC is on a network without a way out is
closed.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address
from urllib.parse import urlsplit

from stacklab import releases
from stacklab.checks.family import Facts, Needs, Tried
from stacklab.installers.contract import OPENDEV, git_base, is_in_cloud
from stacklab.installers.devstack.answers.projects import devstack_url
from stacklab.model.lab import Lab, NetworkMode, Node
from stacklab.model.stack import Installer, Mirrors

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
        packages = _way(lab, apt)
    elif proxy:
        packages = place_of(proxy)
    others = (_way(lab, url) for _kind, url in _urls(lab, node))
    return tuple(dict.fromkeys(filter(None, (packages, *others))))


def _urls(lab: Lab, node: Node) -> Iterator[tuple[str, str]]:
    """What the installer clones ("git") and where it has Python's packages from ("pip") on that node."""
    stack = lab.stack
    release = releases.of(stack.installer).get(stack.release)
    if release is None or not is_in_cloud(lab, node):
        return
    is_everywhere = stack.installer in (
        Installer.DEVSTACK,
        Installer.CONTRAIL,
    )  # the others deploy from one node
    if not is_everywhere and node.name != lab.controller.name:
        return
    if stack.installer in (Installer.CONTRAIL, Installer.OPENSDN):
        yield "git", release.repository
    if stack.installer is Installer.DEVSTACK:
        yield "git", devstack_url(lab, release)
    if is_everywhere:
        yield "git", git_base(lab, release.text("git_base") or OPENDEV)
    elif stack.git_base or stack.refs or stack.dev_mode:
        yield "git", git_base(lab)
    yield from (("git", plugin.url) for plugin in stack.plugins)
    if stack.installer is Installer.PACKSTACK:
        yield "packages", release.text("package_url")
    else:
        yield "pip", stack.mirrors.pip or pip_index()


def pip_index() -> str:
    """Where pip has packages from if nobody says otherwise: its own constant, "" in an environment without pip."""
    try:
        return str(importlib.import_module("pip._internal.models.index").PyPI.simple_url)
    except (ImportError, AttributeError):
        return ""


def _way(lab: Lab, url: str) -> str:
    """Return the place that a node connects to for a URL.

    That is the proxy, if the lab has one and does not except the URL.
    """
    proxy = lab.stack.proxy
    through = proxy.http if urlsplit(url).scheme == "http" else proxy.https or proxy.http
    if through and not _is_direct(lab, url):
        return place_of(through)
    return place_of(url)


def _is_direct(lab: Lab, url: str) -> bool:
    name = urlsplit(url).hostname or ""
    return any(
        name == each.lstrip(".") or name.endswith(f".{each.lstrip('.')}")
        for each in lab.stack.proxy.no_proxy
    )


def place_of(url: str) -> str:
    """Return NAME:PORT of a URL; "" where it names none."""
    parts = urlsplit(url)
    try:
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return ""
    return f"{parts.hostname}:{port}" if parts.hostname and port else ""


def name_of(place: str) -> str:
    """Return the name or the address of "NAME:PORT"."""
    return place.rpartition(":")[0]


def instead(lab: Lab, mirrors: Mirrors) -> Mapping[str, str]:
    """Map the places that nodes avoid to the host's own mirrors that they were given instead."""
    mirrored = {}
    for node in lab.nodes:
        for kind, url in _urls(lab, node):
            mirror = _mirror_of(lab, mirrors, kind, url)
            if mirror:
                mirrored[_way(lab, url)] = _way(lab, mirror)
    return {old: new for old, new in mirrored.items() if old and new}


def _mirror_of(lab: Lab, mirrors: Mirrors, kind: str, url: str) -> str:
    """Return the host's mirror of a URL; "" if it has none."""
    if kind == "pip":
        return "" if lab.stack.mirrors.pip else mirrors.pip
    if kind != "git":
        return ""
    # git takes the longest prefix that fits
    fitting = [(old, new) for new, old in mirrors.git if f"{url}/".startswith(old)]
    return max(fitting, key=lambda pair: len(pair[0]))[1] if fitting else ""


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


def needs(lab: Lab, mirrors: Mirrors) -> Needs:
    """Return what the host has to connect to itself: all that any node of the lab needs."""
    mirrored = instead(lab, mirrors)
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
