"""The disks that snapshots of VMs have frozen: qcow2 files, which name what lies below them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from stacklab.paths import LabPaths
from stacklab.process.command import Runner
from stacklab.tools import qemu_img

SUFFIX = ".qcow2"


class Overlays:
    """See stacklab.providers.frozen_disks.FrozenDisks."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def in_use(self, paths: LabPaths) -> Iterable[Path]:
        """See FrozenDisks.in_use."""
        for overlay in paths.host.volumes.glob(f"{paths.name}_*{SUFFIX}"):
            below = self.below(overlay)
            if below is not None and below.parent == paths.frozen_disks:
                yield below

    def below(self, disk: Path) -> Path | None:
        """See FrozenDisks.below."""
        return qemu_img.parse_info(self._runner.run(qemu_img.info(disk)).stdout).backing

    def bytes_of(self, disks: Collection[Path]) -> int:
        """See FrozenDisks.bytes_of."""
        return sum(disk.stat().st_blocks * 512 for disk in disks)

    def remove(self, disks: Collection[Path]) -> None:
        """See FrozenDisks.remove."""
        for disk in disks:
            disk.unlink(missing_ok=True)
