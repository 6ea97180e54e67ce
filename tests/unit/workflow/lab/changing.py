"""Labs whose spec changed since they were brought up."""

from __future__ import annotations

import dataclasses
import json
from ipaddress import IPv4Network

from stacklab.model.lab import Disk, DiskBus, Lab, Size
from stacklab.process import Command, Result
from tests.unit.checks.fake_lab import make_lab

LAB = make_lab()
NODES = ("controller", "compute1", "compute2")
GROWN = make_lab(nodes=(*NODES, "compute3"))
SHRUNK = make_lab(nodes=NODES[:2])
NARROW = make_lab(cidrs=("10.10.0.0/24",))
WIDE = make_lab(cidrs=("10.10.0.0/24", "10.20.0.0/24", "10.30.0.0/24"))
# net1 is there, and compute1 is not on it.
APART = dataclasses.replace(
    LAB, nodes=tuple(dataclasses.replace(n, nics=n.nics[:1]) if n.name == "compute1" else n
                     for n in LAB.nodes)
)  # fmt: skip


def with_node(lab: Lab, name: str, **changed: object) -> Lab:
    """The lab with some of a node's fields changed."""
    nodes = []
    for node in lab.nodes:
        if node.name == name:
            node = dataclasses.replace(node, **changed)  # type: ignore[arg-type]
        nodes.append(node)
    return dataclasses.replace(lab, nodes=tuple(nodes))


def with_nic(lab: Lab, name: str, index: int, **changed: object) -> Lab:
    """The lab with some fields of a node's NIC changed."""
    nics = list(lab.node(name).nics)
    nics[index] = dataclasses.replace(nics[index], **changed)  # type: ignore[arg-type]
    return with_node(lab, name, nics=tuple(nics))


def with_network(lab: Lab, name: str, **changed: object) -> Lab:
    """The lab with some fields of a network changed, and the MTU of its NICs with it."""
    networks = []
    for network in lab.networks:
        if network.name == name:
            network = dataclasses.replace(network, **changed)  # type: ignore[arg-type]
        networks.append(network)
    return dataclasses.replace(lab, networks=tuple(networks))


MORE_MEMORY = with_node(LAB, "compute1", memory=Size(2048))
LARGER_DISK = with_node(LAB, "compute1", disk=Size(40960))
SMALLER_DISK = with_node(LAB, "compute1", disk=Size(10240))
OTHER_MAC = with_nic(LAB, "compute1", 0, mac="52:54:00:ff:ff:ff")
OTHER_RANGE = with_network(LAB, "net1", cidr=IPv4Network("10.99.0.0/24"))
OTHER_IMAGE = dataclasses.replace(LAB, images=("ubuntu-14.04",))
# compute1 and compute2 have disks beside the one they boot from, and share another.
QUORUM = Disk(name="quorum", size=Size(64), serial="quorum", is_shared=True)
OWN = Disk(name="disk1", size=Size(1024), serial="disk1")
SHARING = with_node(with_node(LAB, "compute1", disks=(OWN, QUORUM)), "compute2", disks=(QUORUM,))
# Nodes that have two disks, one, and none for themselves.
SECOND = Disk(name="disk2", size=Size(64), bus=DiskBus.SCSI, serial="second")
WITH_DISKS = with_node(with_node(LAB, "compute1", disks=(OWN, SECOND)), "compute2", disks=(OWN,))
MORE_DISKS = with_node(SHARING, "compute2", disks=(OWN, QUORUM))

# compute3 is new, compute1 has more memory, and compute2 is gone.
MIXED = with_node(GROWN, "compute1", memory=Size(2048))
MIXED = dataclasses.replace(MIXED, nodes=tuple(n for n in MIXED.nodes if n.name != "compute2"))


def disk_info(_command: Command) -> Result:
    """qemu-img info of a node's disk, of 20 GiB as LAB has it."""
    return Result(exit_code=0, stdout=json.dumps({"format": "qcow2", "virtual-size": 20 << 30}))
