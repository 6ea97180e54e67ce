"""What a node does, whoever runs it."""

from __future__ import annotations

from enum import StrEnum


class NodeState(StrEnum):
    """What a node does, as its provider sees it."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    OFF = "off"
    CRASHED = "crashed"
    ABSENT = "absent"  # nothing of it exists
