"""`lab.snapshots` and `lab.snapshot-delete`; and what killed commands have left of snapshots."""

from __future__ import annotations

import contextlib

from stacklab.errors import AlreadyRunning, LabError
from stacklab.model.snapshot import SnapshotManifest
from stacklab.workflow.context import Context, not_up
from stacklab.workflow.snapshots import store


def listed(context: Context, name: str) -> tuple[SnapshotManifest, ...]:
    """Return a lab's snapshots, the oldest first; raises LabError for an unknown lab."""
    paths = context.host.lab(name)
    if not paths.snapshots.exists() and not paths.root.exists():
        raise not_up(context, name)
    return store.listed(paths)


def delete(context: Context, name: str, snapshot: str) -> None:
    """Delete a snapshot, also a damaged one; what other snapshots need of it stays."""
    with context.lab_lock(name) as paths:
        place = paths.snapshot(snapshot)
        if not place.root.exists():
            store.read(paths, snapshot)  # raises, with the nearest name
            raise LabError(f"lab {name} does not have a snapshot {snapshot}")
        store.remove(place)
        store.sweep(paths, context.runner)


def sweep_all(context: Context) -> None:
    """Remove what killed commands have left of snapshots, of each lab that nobody holds."""
    for directory in sorted(context.host.snapshots.glob("*/")):
        with (
            contextlib.suppress(AlreadyRunning),
            context.lab_lock(directory.name, finishes=False, wait_s=0) as paths,
        ):
            if not paths.snapshot_intent.exists():
                store.sweep(paths, context.runner)
