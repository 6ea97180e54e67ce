"""What a command is doing to a lab's snapshots, written before it begins: for the next one.

A command that is killed leaves nodes paused, or off with their memory in a file. The next
command on the lab finishes its work, or undoes it, and says which.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from stacklab import files
from stacklab.codec import Codec
from stacklab.errors import LabError
from stacklab.paths import LabPaths


class Doing(StrEnum):
    """What can be cut short."""

    SAVE = "save"
    SETTLE = "settle"  # the end of SAVE: the nodes run on, and have to be set right
    RESTORE = "restore"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One of them, under way."""

    doing: Doing
    snapshot: str
    disks: Mapping[str, str]  # node -> file name of its frozen disk; of no use to DELETE

    def frozen(self, paths: LabPaths) -> Mapping[str, Path]:
        """Return the frozen disks by node."""
        return {node: paths.frozen_disks / Path(name).name for node, name in self.disks.items()}


_CODEC = Codec(Intent)


def write(paths: LabPaths, intent: Intent) -> None:
    """Write down what is about to be done."""
    files.write(paths.snapshot_intent, json.dumps(_CODEC.encode(intent)) + "\n", mode=0o600)


def read(paths: LabPaths) -> Intent | None:
    """Return what was left undone; None if nothing was. Raises LabError for a damaged file."""
    try:
        return _CODEC.decode(json.loads(paths.snapshot_intent.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise LabError(
            f"what was done to lab {paths.name} can't be read: {paths.snapshot_intent}: {error}",
            hint=f"./invoke lab.destroy {paths.name}",
        ) from error


def forget(paths: LabPaths) -> None:
    """Say that it is done."""
    paths.snapshot_intent.unlink(missing_ok=True)
