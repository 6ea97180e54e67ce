"""The files of one snapshot, in whichever directory it is kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path


class SnapshotFiles(ABC):
    """What lies in a snapshot's directory: one property per file."""

    __slots__ = ()

    @property
    @abstractmethod
    def root(self) -> Path:
        """The snapshot's directory."""

    @property
    def manifest(self) -> Path:
        """What belongs together, written last: without it there is no snapshot."""
        return self.root / "manifest.json"

    @property
    def files(self) -> Path:
        """The lab's own directory, as a tar: its record, keys, passwords and answers."""
        return self.root / "files.tar"

    def memory(self, node: str) -> Path:
        """A node's memory, as libvirt writes it."""
        return self.root / f"{node}.memory"

    def console(self, node: str) -> Path:
        """The end of what a node had printed on its console."""
        return self.root / f"{node}.console"

    def domain(self, node: str) -> Path:
        """A node's domain, in libvirt's XML."""
        return self.root / f"{node}.xml"

    def seed(self, node: str) -> Path:
        """A node's seed disk."""
        return self.root / f"{node}.seed.img"
