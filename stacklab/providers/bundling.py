"""The contract of bundles: snapshots that are carried to another host.

A capability like those of `contract`: callers ask by isinstance if a provider has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from stacklab.model.lab import Lab
from stacklab.model.snapshot import Hardware
from stacklab.paths import LabPaths, SnapshotPaths
from stacklab.record import LabRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignNode:
    """What a bundle has of a node, as files; disks from the highest one down to the base image."""

    name: str
    domain: Path
    memory: Path
    disks: tuple[Path, ...]
    # What each disk has to lie on before it is adopted, and on this host.
    bases_there: tuple[str, ...]
    bases_here: tuple[Path, ...]


# Not a capability itself: a provider that has Bundles hands it out.
class BundleMaker(Protocol):
    """Prepares snapshots for another host, and takes those that another host has made.

    What comes with a bundle is anybody's: it is checked before this host's QEMU or anything
    that runs as root reads it.
    """

    def hardware(self) -> Hardware:
        """Return what memory can be restored on here."""
        ...

    def lend(self, place: SnapshotPaths) -> None:
        """Let this process read the memory of a snapshot, which the nodes' service has written."""
        ...

    def refuse_taken(self, record: LabRecord) -> None:
        """Raise ProviderError where somebody else's machine has the name of a node."""
        ...

    def refuse_odd(self, lab: Lab, record: LabRecord, nodes: Sequence[ForeignNode]) -> None:
        """Raise ValueError for a node that has, names or is what no node of this lab may."""
        ...

    def adopt(self, lab: Lab, record: LabRecord, nodes: Sequence[ForeignNode]) -> None:
        """Make the files this host's own, in place: names, paths, networks.

        Raises ValueError as `refuse_odd`, before anything is changed.
        """
        ...

    def state_files(self, lab: Lab, paths: LabPaths, record: LabRecord) -> Mapping[Path, str]:
        """Render all files that the provider has for a lab whose nodes exist."""
        ...


@runtime_checkable
class Bundles(Protocol):
    """Snapshots that can be carried to another host."""

    def bundles(self) -> BundleMaker:
        """Return who prepares them and takes them."""
        ...
