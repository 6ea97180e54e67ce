"""The disks that snapshots have frozen, whoever made them: what lies below them, their removal.

A disk's kind is told by the end of its name, so that disks are found whose snapshot, or whose lab,
is gone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Protocol

from stacklab.paths import LabPaths
from stacklab.process.command import Runner
from stacklab.providers.containers import layers
from stacklab.providers.libvirt.storage import overlays


class FrozenDisks(Protocol):
    """Frozen disks of one kind."""

    def in_use(self, paths: LabPaths) -> Iterable[Path]:
        """Return the frozen disks on which nodes of today's lab lie, without those below."""
        ...

    def below(self, disk: Path) -> Path | None:
        """Return what a disk lies on; None if that is nothing, or the image."""
        ...

    def bytes_of(self, disks: Collection[Path]) -> int:
        """Return what these disks take, holes left out."""
        ...

    def remove(self, disks: Collection[Path]) -> None:
        """Remove these disks; absent is success."""
        ...


def kinds(runner: Runner) -> dict[str, FrozenDisks]:
    """Return all kinds by the ends of their disks' names."""
    return {
        overlays.SUFFIX: overlays.Overlays(runner),
        layers.SUFFIX: layers.Layers(runner),
    }


def needed(disks: Iterable[Path], paths: LabPaths, runner: Runner) -> set[Path]:
    """Return the frozen disks that today's lab needs, and these, with all that lie below."""
    found: set[Path] = set()
    by_suffix = kinds(runner)
    tops = list(disks)
    for kind in by_suffix.values():
        tops += kind.in_use(paths)
    for top in tops:
        below: Path | None = top
        while below is not None and below not in found and below.exists():
            # Below the last one is the image, which is not the lab's.
            if below.parent != paths.frozen_disks or below.suffix not in by_suffix:
                break
            found.add(below)
            below = by_suffix[below.suffix].below(below)
    return found


def remove_all_but(kept: Collection[Path], paths: LabPaths, runner: Runner) -> None:
    """Remove all frozen disks of a lab but these."""
    for suffix, kind in kinds(runner).items():
        disks = paths.frozen_disks.glob(f"*{suffix}")
        kind.remove([disk for disk in sorted(disks) if disk not in kept])


def bytes_of(disks: Collection[Path], runner: Runner) -> int:
    """Return what these frozen disks take, holes left out."""
    total = 0
    for suffix, kind in kinds(runner).items():
        total += kind.bytes_of([disk for disk in disks if disk.suffix == suffix])
    return total
