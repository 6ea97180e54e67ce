"""A libvirtd that ./invoke has started itself, to be ended and started again by tests."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from stacklab.process.runner import SubprocessRunner
from stacklab.tools.libvirt import daemon as libvirtd
from tests.live.remains import why_virsh_fails
from tests.live.typed import wait_until

_LIMIT_S = 30
_PID_FILE = Path("/run/libvirtd.pid")


@dataclass(frozen=True)
class OwnLibvirtd:
    """libvirtd, by its very pid."""

    pid: int

    def end(self) -> None:
        os.kill(self.pid, signal.SIGTERM)
        wait_until(lambda: not self._runs(), "libvirtd has ended", _LIMIT_S)

    def restart(self) -> None:
        self.end()
        ensure()

    def _runs(self) -> bool:
        return Path(f"/proc/{self.pid}").exists()


def find() -> OwnLibvirtd | None:
    """Our libvirtd; None: it is this host's own, or another user's, and not ours to end."""
    pid = int(_PID_FILE.read_text()) if _PID_FILE.exists() else 0
    line = Path(f"/proc/{pid}/cmdline").read_bytes() if pid else b""
    if line != b"libvirtd\0-d\0" or os.geteuid() != 0:
        return None
    return OwnLibvirtd(pid)


def is_up() -> bool:
    return why_virsh_fails() is None


def ensure() -> None:
    """Start libvirtd unless it answers."""
    libvirtd.ensure(SubprocessRunner(), why_virsh_fails, print)
