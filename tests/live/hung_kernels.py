"""Kernels of emulated nodes that hung while a test ran: what it saw says nothing about stacklab.

A CPU that QEMU emulates on a busy host now and then stops for good in the guest's kernel, whatever
the guest does. The console tells: its watchdog names a CPU that is stuck, or the kernel panics.
`lab.up` resets such a node, and a test of VMs that failed meanwhile is run once more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_HUNG = re.compile(
    rb"soft lockup - CPU#\d+ stuck|rcu\w* (?:self-)?detected stall|Kernel panic - not syncing"
)
# lab.up also gives up a kernel that has fallen silent, which the console alone can't tell.
_RESET = "its kernel hangs"


class Consoles:
    """The consoles of all labs of a home, and how often each told of a kernel that hung."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._before: Mapping[tuple[Path, int], int] = {}
        self._is_one_reset = False

    def begin(self) -> None:
        """Take what the consoles show so far as old."""
        self._before = self._count()
        self._is_one_reset = False

    def read(self, progress: str) -> None:
        """Take what a command said on stderr: whether it reset a node whose kernel hung."""
        self._is_one_reset = self._is_one_reset or _RESET in progress

    def tell_of_a_hang(self) -> bool:
        """Return True if a kernel hung since `begin`."""
        return self._is_one_reset or any(
            hangs > self._before.get(log, 0) for log, hangs in self._count().items()
        )

    def _count(self) -> Mapping[tuple[Path, int], int]:
        counts = {}
        for path in self._home.glob("labs/*/logs/*.console.log"):
            try:
                # By its inode: a node that was made again begins a log of its own.
                counts[path, path.stat().st_ino] = len(_HUNG.findall(path.read_bytes()))
            except OSError:
                continue  # its lab was destroyed meanwhile
        return counts
