"""What a command is doing to a lab's snapshots, written before it begins: for the next one.

A command that is killed leaves nodes paused, or off with their memory in a file. The next
command on the lab finishes its work, or undoes it, and says which.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from stacklab import files
from stacklab.codec import Codec
from stacklab.errors import LabError
from stacklab.paths import LabPaths
from stacklab.providers.snapshot_maker import NodeDisks


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
    # node -> further disk -> the same of that one; commands of before wrote none.
    further_disks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def frozen(self, paths: LabPaths) -> Mapping[str, NodeDisks]:
        """Return the frozen disks by node."""
        return {node: self._of_node(paths, node) for node in self.disks}

    def _of_node(self, paths: LabPaths, node: str) -> NodeDisks:
        further = self.further_disks.get(node, {})
        return NodeDisks(
            disk=_frozen_file(paths, self.disks[node]),
            further={name: _frozen_file(paths, file) for name, file in further.items()},
        )


_CODEC = Codec(Intent, left_out_empty=frozenset({"further_disks"}))


def _frozen_file(paths: LabPaths, name: str) -> Path:
    return paths.frozen_disks / Path(name).name


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
