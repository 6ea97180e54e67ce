"""Labs for OpenSDN: the shipped one, and variations of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from ipaddress import IPv4Interface, IPv4Network
from typing import Any

import yaml

from stacklab import releases, spec
from stacklab.installers import rendering as answers
from stacklab.installers.opensdn.answers import files as opensdn
from stacklab.model.lab import NIC, Lab, Network, NetworkMode, Node
from stacklab.model.stack import Installer, Role
from stacklab.paths.project import PROJECT

SECRETS = {
    name: f"Secret{number:02}abcdefgh" for number, name in enumerate(opensdn.secret_names(None))
}  # type: ignore[arg-type]


@cache
def shipped() -> Lab:
    """The lab of labs/opensdn-3node.yaml."""
    return spec.load(PROJECT / "labs" / "opensdn-3node.yaml")


def vary(
    lab: Lab | None = None, *, images: tuple[str, ...] = ("ubuntu-24.04",), **stack: object
) -> Lab:
    """The same nodes with another stack, from any image."""
    lab = lab or shipped()
    return replace(lab, images=images, stack=replace(lab.stack, **stack))


def plain(release: str, **stack: object) -> Lab:
    """A lab that says its release and nothing else of OpenSDN, from the image that the release
    names first.
    """
    row = releases.find(Installer.OPENSDN, release)
    return vary(
        images=row.images[:1],
        **{"release": release, "kolla_mode": "", "openstack": "", "answers": ()} | stack,
    )


def of_roles(**roles: Role) -> Lab:
    """The shipped lab with these nodes instead."""
    first = shipped().nodes[0]
    nodes = (_node(first, number, name, role) for number, (name, role) in enumerate(roles.items()))
    return replace(shipped(), nodes=tuple(nodes))


def with_network(name: str, cidr: str, **stack: object) -> Lab:
    """The shipped lab with one network more, on which every node has its last NIC."""
    lab, range_ = shipped(), IPv4Network(cidr)
    network = Network(
        name=name, cidr=range_, mode=NetworkMode.ISOLATED, mtu=1500, bridge=f"sl-{name}"
    )
    nodes = []
    for number, node in enumerate(lab.nodes):
        nic = NIC(
            network=name,
            device=f"eth{len(node.nics)}",
            mac=f"52:54:00:00:09:{number:02x}",
            mtu=1500,
            address=IPv4Interface(f"{range_[10 + number]}/{range_.prefixlen}"),
        )
        nodes.append(replace(node, nics=(*node.nics, nic)))
    return vary(replace(lab, networks=(*lab.networks, network), nodes=tuple(nodes)), **stack)


def _node(like: Node, number: int, name: str, role: Role) -> Node:
    nics = tuple(
        replace(
            nic,
            address=IPv4Interface(
                f"{nic.address.network[10 + number]}/{nic.address.network.prefixlen}"
            ),
            mac=f"{nic.mac[:-2]}{number:02x}",
        )
        for nic in like.nics
    )
    return replace(like, name=name, role=role, nics=nics)


def text(lab: Lab) -> str:
    """instances.yaml of a lab, as it is written."""
    return answers.render(lab, SECRETS)[lab.controller.name][opensdn.INSTANCES]


def read(lab: Lab) -> Mapping[str, Any]:
    """instances.yaml of a lab, as PyYAML reads it."""
    found = yaml.safe_load(text(lab))
    assert isinstance(found, dict)
    return found
