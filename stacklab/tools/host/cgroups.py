"""This host's cgroups (version 2), as far as a node's container is looked at by them.

What runs of a container is in one cgroup, so that its state is read from files, by any user.
"""

from __future__ import annotations

import re
from pathlib import Path

from stacklab.model.state import NodeState

# Beside the controllers of version 1, many hosts mount version 2 somewhere below.
_MOUNTS = Path("/proc/self/mountinfo")
_OURS = "stacklab"
_MOUNT = re.compile(r"\S+ \S+ \S+ / (?P<place>\S+) .* - cgroup2 ")
_MOUNT_V1 = re.compile(
    r"\S+ \S+ \S+ / (?P<place>/sys/fs/cgroup/\S+) .* - cgroup \S+ (?P<options>\S+)"
)
CONTROLLERS = ("memory", "cpu", "pids")  # what machine.sh uses

# What to type where it is not mounted.
HOW_TO_MOUNT = (
    "sudo mkdir -p /sys/fs/cgroup/unified && sudo mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified"
)


def root(mounts: Path = _MOUNTS) -> Path | None:
    """Return where cgroup version 2 is mounted; None where it is not."""
    return find_root(mounts.read_text())


def find_root(mounts: str) -> Path | None:
    """Return the same from the text of a mountinfo file."""
    for line in mounts.splitlines():
        match = _MOUNT.match(line)
        if match is not None:
            return Path(match["place"])
    return None


def controllers(mounts: str, of_version_2: str = "") -> frozenset[str]:
    """Return the controllers that a container gets, from the text of a mountinfo file.

    `of_version_2` is the text of cgroup.controllers in the root of version 2: those that version
    1 does not have.
    """
    names = set(of_version_2.split())
    for line in mounts.splitlines():
        match = _MOUNT_V1.match(line)
        if match is not None:
            names.update(match["options"].split(","))
    return frozenset(names.intersection(CONTROLLERS))


def group_of(machine: str, mounted: Path) -> Path:
    """Return the cgroup of a container."""
    return mounted / _OURS / machine


def state(group: Path) -> NodeState:
    """Return what the container of that cgroup does; OFF where nothing of it runs."""
    # `net` holds the network only: what counts is the node, or who starts it again.
    if not any(_has_processes(group / name) for name in ("keeper", "run")):
        return NodeState.OFF
    if _flag(group / "cgroup.events", "frozen"):
        return NodeState.PAUSED
    return NodeState.RUNNING


def _has_processes(group: Path) -> bool:
    return _flag(group / "cgroup.events", "populated")


def _flag(file: Path, name: str) -> bool:
    """Return a flag of a cgroup's events; False where there is no such cgroup."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return False
    return f"{name} 1" in lines
