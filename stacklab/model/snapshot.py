"""A snapshot of a whole lab, as its manifest describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class SnapshotKind(StrEnum):
    """What a snapshot holds of running nodes."""

    MEMORY = "memory"  # memory and disks of one instant: nodes go on where they were
    DISK = "disk"  # disks of nodes that were shut down: they boot


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePart:
    """What a snapshot has of one node."""

    disk: str  # file name of its frozen disk
    memory_bytes: int = 0
    memory_digest: str = ""  # blake2b, in hex; "": no memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What memory can only be restored on."""

    qemu: str  # version
    accelerator: str  # kvm or qemu, as libvirt calls it
    cpu: str  # model


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotManifest:
    """Everything of one snapshot that belongs together."""

    lab: str
    name: str
    kind: SnapshotKind
    made_at: float  # Unix time
    provider: str
    image: str  # key of the base image below all disks
    machine: Machine
    nodes: Mapping[str, NodePart]
    skew_s: float  # between the pauses of the first node and of the last
    paused_s: float  # how long the nodes stood still
    bytes: int  # what it takes on this host's disk

    @property
    def disks(self) -> tuple[str, ...]:
        """Return the file names of the frozen disks."""
        return tuple(part.disk for part in self.nodes.values())
