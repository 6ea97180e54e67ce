"""A snapshot of a whole lab, as its manifest describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stacklab.codec import Codec


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePart:
    """What a snapshot has of one node."""

    disk: str  # file name of its frozen disk
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What memory can only be restored on."""

    qemu: str  # version
    accelerator: str  # kvm or qemu, as libvirt calls it
    cpu: str  # model


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotManifest:
    """Everything of one snapshot that belongs together."""

    lab: str
    name: str
    made_at: float  # Unix time
    provider: str
    image: str  # key of the base image below all disks
    machine: Hardware
    nodes: Mapping[str, NodePart]
    skew_s: float  # between the pauses of the first node and of the last
    paused_s: float  # how long the nodes stood still
    bytes: int  # what it takes on this host's disk
    # Of the pristine one alone: what the lab was made from, as digests, and what it passed.
    inputs: Mapping[str, str] = field(default_factory=dict)
    checks_passed: int = 0

    @property
    def disks(self) -> tuple[str, ...]:
        """Return the file names of the frozen disks."""
        return tuple(part.disk for part in self.nodes.values())


CODEC = Codec(SnapshotManifest)
