"""The contract of those who make a lab's snapshots: what providers with Snapshots hand out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from stacklab.model.snapshot import Hardware, SnapshotKind
from stacklab.paths import SnapshotPaths


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDisks:
    """The files under which a snapshot has the disks of one node."""

    disk: Path
    further: Mapping[str, Path] = field(default_factory=dict)  # by the disks' names


class SnapshotMaker(Protocol):
    """Freezes a lab's nodes and brings them back. Each step may be repeated after any failure.

    Nodes run while a snapshot is made of them, and at the end run again: `freeze` and
    `store` are undone by `resume`; once `store` has returned, `restore` leads to the
    snapshot, as often as wanted.
    """

    @property
    def kind(self) -> SnapshotKind:
        """Return what its snapshots have of the nodes."""
        ...

    @property
    def disk_suffix(self) -> str:
        """Return how the names of frozen disks end: see providers.frozen_disks."""
        ...

    def further_disks(self, node: str) -> Sequence[str]:
        """Return the names of the disks that a node has for itself, beside the first one."""
        ...

    def machine(self) -> Hardware | None:
        """Return what a snapshot's memory can only be restored on; None if it has no memory."""
        ...

    def bytes_needed(self) -> int:
        """Return how many bytes a snapshot of the running nodes takes at most.

        Raises ProviderError where their disks can't be frozen.
        """
        ...

    def freeze(self) -> float:
        """Stop all nodes: their processors, or, where disks alone are kept, all that runs.

        Returns the seconds between the first and the last.
        """
        ...

    def store(self, place: SnapshotPaths, disks: Mapping[str, NodeDisks]) -> None:
        """Write the frozen nodes' memory, if any, and freeze their disks under these paths.

        Nodes are off then, with new disks above the frozen ones.
        """
        ...

    def resume(self, place: SnapshotPaths, disks: Mapping[str, NodeDisks]) -> None:
        """Undo `freeze`, or a `store` that was cut short: nodes go on, on their own disks.

        Here and in `restore`, nodes whose memory is not kept boot; it is not waited for.
        """
        ...

    def restore(self, place: SnapshotPaths, disks: Mapping[str, NodeDisks]) -> None:
        """Bring the nodes to the snapshot's instant and let them go on, whatever they do now."""
        ...
