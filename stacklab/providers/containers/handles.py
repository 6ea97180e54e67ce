"""The handles of containers in a lab's record, compared whole.

A lab of this provider may have VMs, too: their handles, and those of all networks, are those of
libvirt's labs.
"""

from __future__ import annotations

import dataclasses
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from stacklab.paths import LabPaths
from stacklab.record import Handle, LabRecord, NodeRecord

# New for each lab: what has the same name is ours. With `-0` and so on behind it, it is the name
# of the host's end of a NIC, of which the kernel takes 15 characters.
_MACHINE = re.compile(r"sl[0-9a-f]{8}")
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


def new_handle() -> Handle:
    """Make up the handle of a container that does not exist yet."""
    return {"machine": "sl" + secrets.token_hex(4)}


def is_container(node: NodeRecord) -> bool:
    """Return True if the handle is a container's, and not a VM's."""
    return "machine" in node.handle


def container_of(paths: LabPaths, node: NodeRecord) -> Container:
    """Read a node's handle; raises ValueError where it can't be a container of ours."""
    if set(node.handle) != _KEYS or not _MACHINE.fullmatch(node.handle["machine"]):
        raise ValueError(f"not a container of this lab: {node.name!a}, {dict(node.handle)!a}")
    return Container(
        name=node.name,
        machine=node.handle["machine"],
        directory=paths.container(node.name),
        seed=paths.seed(node.name),
    )


def only_vms(record: LabRecord) -> LabRecord:
    """Return the record as libvirt's provider reads it: without the containers."""
    vms = tuple(node for node in record.nodes if not is_container(node))
    return dataclasses.replace(record, nodes=vms)
