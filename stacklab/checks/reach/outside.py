"""The places outside the lab that a stack needs, derived from the spec.

It is a handful of places, "NAME:PORT"; the mirror of packages that the image brought
along is read on the node. A node whose first NIC is on a network without a way out is
closed.
"""

from __future__ import annotations

from collections.abc import Mapping

from stacklab.checks.family import Needs
from stacklab.checks.reach.outside_places import PACKAGES
from stacklab.installers import remote_sources
from stacklab.installers.kit.ways import dialled_place, mirror_of, place_of
from stacklab.model.lab import Lab, Node
from stacklab.model.stack import Mirrors


def places(lab: Lab, node: Node) -> tuple[str, ...]:
    """List what a node needs of the outside, each once: PACKAGES or "NAME:PORT".

    Where the node goes by a proxy, the proxy is the place.
    """
    wanted = [_packages_place(lab)]
    wanted += [dialled_place(lab, source.url) for source in remote_sources(lab, node)]
    # Without "": a local path in place of a URL is nothing to connect to.
    return tuple(dict.fromkeys(filter(None, wanted)))


def _packages_place(lab: Lab) -> str:
    """Return where a node's packages come from; PACKAGES if only the node knows."""
    apt_mirror = lab.stack.mirrors.apt
    if apt_mirror:
        return dialled_place(lab, apt_mirror)
    if lab.stack.proxy.http:
        return place_of(lab.stack.proxy.http)
    return PACKAGES


def mirrored_places(lab: Lab, mirrors: Mirrors) -> Mapping[str, str]:
    """Map the places that nodes avoid to the host's own mirrors that they were given instead."""
    mirrored: dict[str, str] = {}
    sources = [source for node in lab.nodes for source in remote_sources(lab, node)]
    for source in sources:
        mirror_url = mirror_of(lab, mirrors, source)
        if not mirror_url:
            continue
        mirrored[dialled_place(lab, source.url)] = dialled_place(lab, mirror_url)
    return {place: mirror for place, mirror in mirrored.items() if place and mirror}


def host_needs(lab: Lab, mirrors: Mirrors) -> Needs:
    """Return what the host has to connect to itself: all that any node of the lab needs."""
    mirrored = mirrored_places(lab, mirrors)
    wanted: list[str] = []
    for node in lab.nodes:
        wanted += [mirrored.get(place, place) for place in places(lab, node) if place != PACKAGES]
    return Needs(places=tuple(wanted), instead=mirrored, needs_package_mirrors=True)
