"""A snapshot of a whole lab, as its manifest describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from stacklab.codec import Codec


class SnapshotKind(StrEnum):
    """What a snapshot has of the nodes, which decides how they come back."""

    MEMORY = "memory"  # and disks, of one instant: nodes go on from it
    DISKS = "disks"  # alone, of nodes that were shut down: nodes boot from them


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePart:
    """What a snapshot has of one node."""

    disk: str  # file name of its frozen disk
    # File names of the further disks that it has for itself, by the disks' names. Manifests of
    # before they could be frozen do not say it: their nodes had none.
    further_disks: Mapping[str, str] = field(default_factory=dict)
    memory_bytes: int = 0

    @property
    def disk_files(self) -> tuple[str, ...]:
        """Return the file names of all its frozen disks."""
        return (self.disk, *self.further_disks.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What memory can only be restored on."""

    qemu: str  # version
    accelerator: str  # kvm or qemu, as libvirt calls it
    cpu: str  # model
    # What KVM's guests see of the host's own processor: its model and features, sorted.
    host_cpu: tuple[str, ...] = ()

    def differences(self, here: Hardware) -> tuple[str, ...]:
        """Return what another host has otherwise, one phrase each; () if memory fits it."""
        found = []
        for what, then, now in (
            ("QEMU", self.qemu, here.qemu),
            ("libvirt's domain type", self.accelerator, here.accelerator),
            ("CPU model", self.cpu, here.cpu),
        ):
            if then != now:
                found.append(f"{what} {now}, not {then}")
        lacking = sorted(set(self.host_cpu) - set(here.host_cpu))
        added = sorted(set(here.host_cpu) - set(self.host_cpu))
        if lacking:
            found.append(f"a processor without {', '.join(lacking)}")
        if added:
            found.append(f"a processor with {', '.join(added)} besides")
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotManifest:
    """Everything of one snapshot that belongs together."""

    lab: str
    name: str
    made_at: float  # Unix time
    provider: str
    image: str  # key of the base image below all disks
    # Manifests of before there were two kinds do not say it.
    kind: SnapshotKind = SnapshotKind.MEMORY
    machine: Hardware | None = None  # of memory; disks can be restored on any
    nodes: Mapping[str, NodePart]
    skew_s: float  # between the pauses of the first node and of the last
    paused_s: float  # how long the nodes stood still, or were off
    bytes: int  # what it takes on this host's disk
    # Of the pristine one alone: what the lab was made from, as digests, and what it passed.
    inputs: Mapping[str, str] = field(default_factory=dict)
    checks_passed: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError for memory without the hardware that it belongs to."""
        if self.kind is SnapshotKind.MEMORY and self.machine is None:
            raise ValueError("it has memory, and does not say of which machine")

    @property
    def hardware(self) -> Hardware:
        """Return what its memory belongs to; raises ValueError for a snapshot without memory."""
        if self.machine is None:
            raise ValueError("it has no memory")
        return self.machine

    @property
    def disks(self) -> tuple[str, ...]:
        """Return the file names of the frozen disks."""
        return tuple(file for part in self.nodes.values() for file in part.disk_files)


CODEC = Codec(SnapshotManifest, left_out_empty=frozenset({"further_disks"}))
