"""A provider's own way to keep nodes' memory, with nothing of ours around it: for `bench.snapshot`.

Nothing else may use it: it knows neither manifests nor disks of snapshots.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from stacklab.providers.snapshot_maker import NodeDisks


class RawMemory(Protocol):
    """Saves and restores all nodes of a lab at once, as somebody would by hand.

    Files are by node. Raises LabError as soon as all nodes are done with.
    """

    @property
    def save_command(self) -> str:
        """Return what somebody would type to save a node, in short: for a table."""
        ...

    @property
    def restore_command(self) -> str:
        """Return what somebody would type to restore a node, in short: for a table."""
        ...

    def save(self, files: Mapping[str, Path]) -> None:
        """Write the running nodes' memory into these files; the nodes are off then."""
        ...

    def renew_disks(self, disks: Mapping[str, NodeDisks]) -> None:
        """Cut all nodes' power, and give each empty disks above the frozen ones.

        What a node has written above the frozen disks is lost: a memory of that instant can be
        restored then, and no other one.
        """
        ...

    def restore(self, files: Mapping[str, Path]) -> None:
        """Start all nodes from these files; they run then. The files stay as they are."""
        ...


@runtime_checkable
class HasRawMemory(Protocol):
    """A maker of snapshots that can be compared with what it is built on."""

    def raw_memory(self) -> RawMemory:
        """Return the provider's own way for the same nodes."""
        ...
