"""The handles of containers in a lab's record, compared whole.

A lab of this provider may have VMs, too: their handles, and those of all networks, are those of
libvirt's labs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from stacklab.paths import LabPaths
from stacklab.record import Handle, LabRecord, NodeRecord

_KEYS = {"machine"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A node's container: `machine` names its cgroup and, with a number, the ends of its NICs."""

    name: str
    machine: str
    directory: Path
    seed: Path

    def end(self, index: int) -> str:
        """Return the name of the host's end of a NIC."""
        return f"{self.machine}-{index}"


def machine_of(directory: Path) -> str:
    """Return the name by which the container in that directory is known to this host.

    It follows from the place alone, so that no record can name another lab's. With `-0` and so on
    behind it, it is the name of the host's end of a NIC, of which the kernel takes 15 characters.
    """
    place = os.fsencode(os.path.realpath(directory))
    return "sl" + hashlib.sha256(place).hexdigest()[:8]


def new_handle(paths: LabPaths, node: str) -> Handle:
    """Return the handle of a container that does not exist yet."""
    return {"machine": machine_of(paths.container(node))}


def is_container(node: NodeRecord) -> bool:
    """Return True if the handle is a container's, and not a VM's."""
    return "machine" in node.handle


def container_of(paths: LabPaths, node: NodeRecord) -> Container:
    """Read a node's handle; raises ValueError where it can't be a container of ours."""
    directory = paths.container(node.name)
    if set(node.handle) != _KEYS:
        raise ValueError(f"not a container of this lab: {node.name!a}, {dict(node.handle)!a}")
    machine = machine_of(directory)
    if node.handle["machine"] != machine:
        raise ValueError(
            f"{node.name} is said to be {node.handle['machine']!a}, but what is in {directory} is "
            f"{machine}"
        )
    return Container(
        name=node.name, machine=machine, directory=directory, seed=paths.seed(node.name)
    )


def only_vms(record: LabRecord) -> LabRecord:
    """Return the record as libvirt's provider reads it: without the containers."""
    vms = tuple(node for node in record.nodes if not is_container(node))
    return dataclasses.replace(record, nodes=vms)
