"""`lab.snapshots` and `lab.snapshot-delete`."""

from __future__ import annotations

from stacklab.errors import LabError
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
