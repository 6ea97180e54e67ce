"""`lab.snapshots` and `lab.snapshot-delete`; and what killed commands have left of snapshots."""

from __future__ import annotations

import contextlib

from stacklab.errors import AlreadyRunning, LabError
from stacklab.model.snapshot import SnapshotManifest
from stacklab.paths import SnapshotPaths
from stacklab.workflow.context import Context, not_up
from stacklab.workflow.snapshots import intent, store
from stacklab.workflow.snapshots.intent import Doing, Intent


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
        # On a full disk it can't be written: then a kill leaves files, but room is made.
        with contextlib.suppress(OSError):
            intent.write(paths, Intent(doing=Doing.DELETE, snapshot=snapshot, disks={}))
        delete_held(context, place)


def delete_held(context: Context, place: SnapshotPaths) -> None:
    """Delete it; the caller holds the lab's lock and has written the intent."""
    try:
        store.remove(place)
        store.sweep(place.lab, context.runner)
    finally:
        # Also if another snapshot is damaged: no further try would get on.
        intent.forget(place.lab)


def sweep_all(context: Context) -> None:
    """Remove what killed commands have left of snapshots, of each lab that nobody holds."""
    for directory in sorted(context.host.snapshots.glob("*/")):
        with (
            contextlib.suppress(AlreadyRunning),
            context.lab_lock(directory.name, finishes=False, wait_s=0) as paths,
        ):
            if not paths.snapshot_intent.exists():
                store.sweep(paths, context.runner)
