"""Files below a lab's directory for debuggers."""

from __future__ import annotations

from pathlib import Path

from stacklab.paths import LabPaths


def root(paths: LabPaths) -> Path:
    """Return the directory of all of them."""
    return paths.root / "debug"


def tunnel_log(paths: LabPaths, node: str, service: str) -> Path:
    """Return the log of the tunnel to a service's debugger; its mark, too."""
    return root(paths) / "tunnels" / f"{node}.{service}.log"


def tunnel_logs(paths: LabPaths) -> tuple[Path, ...]:
    """Return the logs of all tunnels to debuggers."""
    return tuple(sorted((root(paths) / "tunnels").glob("*.log")))


def ide_folder(paths: LabPaths, node: str, service: str) -> Path:
    """Return the folder that an IDE opens to debug a service."""
    return root(paths) / node / service
