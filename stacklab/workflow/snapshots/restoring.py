"""`lab.restore`: bring a lab to the instant of a snapshot, whatever has become of it since."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from stacklab import record as records
from stacklab.errors import LabError
from stacklab.images import store as images
from stacklab.model.snapshot import Hardware, NodePart, SnapshotKind, SnapshotManifest
from stacklab.paths import LabPaths, SnapshotPaths
from stacklab.paths.project import PROJECT
from stacklab.providers import registry
from stacklab.record import LabRecord
from stacklab.workflow.context import Context, last_resolved, read_own
from stacklab.workflow.faults import faults
from stacklab.workflow.lab import host_guard
from stacklab.workflow.lab.connections import close_connections
from stacklab.workflow.mirror import serving
from stacklab.workflow.snapshots import intent, lab_files, restarting, saving, store
from stacklab.workflow.snapshots.intent import Doing, Intent

_READING = {
    SnapshotKind.MEMORY: "read the nodes' memory",
    SnapshotKind.DISKS: "start from the frozen disks",
}


def restore(context: Context, name: str, snapshot: str) -> SnapshotManifest:
    """Bring the lab to a snapshot's instant; returns when its nodes answer.

    Also a lab that was destroyed or rebuilt since. Raises LabError before anything of today's
    lab is touched where the snapshot can't be restored. Safe to call again after any failure.
    """
    with context.lab_lock(name, finishes=False) as paths:
        manifest = store.read(paths, snapshot)
        place = paths.snapshot(snapshot)
        today = read_own(paths)
        saving.refuse_unreachable(context.provider(today))
        refuse_incomplete(context, place, manifest)
        wanted = intent_of(manifest)
        intent.write(paths, wanted)
        restore_held(context, paths, today, wanted)
        return manifest


def intent_of(manifest: SnapshotManifest) -> Intent:
    """Return what is about to be done with a snapshot that is restored."""
    return Intent(
        doing=Doing.RESTORE,
        snapshot=manifest.name,
        disks={node: part.disk for node, part in manifest.nodes.items()},
        further_disks={
            node: part.further_disks for node, part in manifest.nodes.items() if part.further_disks
        },
    )


def restore_held(
    context: Context, paths: LabPaths, today: LabRecord | None, wanted: Intent
) -> None:
    """Restore; the caller holds the lab's lock and has written the intent."""
    place = paths.snapshot(wanted.snapshot)
    progress = context.progress
    has_new_networks = today is None
    if today is not None:
        close_connections(context, paths, today)
        faults.forget(context, paths, today)
        then = lab_files.read_record(place)
        if (today.provider, today.handles) != (then.provider, then.handles):
            has_new_networks = True
            with progress.stage("host", "remove the nodes of today"):
                context.provider(today).destroy(paths, today)
    serving.end(paths)
    lab_files.unpack(paths, place)
    record = _take_over(paths, today)
    lab = last_resolved(paths)
    if record is None or lab is None:
        raise LabError(
            f"snapshot {place.name} of lab {paths.name} does not have the lab's files",
            hint=f"./invoke lab.snapshot-delete {paths.name} {place.name}",
        )
    host_guard.close(context, lab, paths)
    maker = saving.maker_of(context, lab, record)
    with progress.stage("host", _READING[maker.kind]):
        maker.restore(place, wanted.frozen(paths))
    instant = store.read(paths, place.name).made_at
    restarting.settle(
        context,
        lab,
        paths,
        record,
        maker.kind,
        instant=instant,
        is_restored=True,
        has_new_networks=has_new_networks,
    )
    serving.start(context, lab, paths)
    try:
        store.sweep(paths, context.runner)
    finally:
        # After a kill the next command begins again; after an error the lab is whole, and stays.
        intent.forget(paths)


def _take_over(paths: LabPaths, today: LabRecord | None) -> LabRecord | None:
    """Make the restored record this checkout's, with the time to live of today's lab."""
    then = registry.read(paths)
    if then is None:
        return None
    expires_at = today.expires_at if today is not None else None
    record = dataclasses.replace(then, checkout=PROJECT, expires_at=expires_at)
    records.write(paths, record)
    return record


def refuse_incomplete(context: Context, place: SnapshotPaths, manifest: SnapshotManifest) -> None:
    """Raise LabError for a snapshot that lacks a part, or that another machine has made."""
    if images.by_key(context.host, manifest.image) is None:
        raise _cannot(place, f"its base image {manifest.image} is not on this host any more")
    for node, part in manifest.nodes.items():
        disks = [place.lab.frozen_disks / file for file in part.disk_files]
        for path in (*disks, place.seed(node), place.files):
            _refuse_missing(place, path)
        if manifest.kind is SnapshotKind.MEMORY:
            _refuse_other_memory(place, node, part)
    lab_files.refuse_damaged(place)
    lab_files.read_record(place)  # raises, too
    if manifest.machine is not None:
        _refuse_other_machine(context, place, manifest.machine)


def _refuse_missing(place: SnapshotPaths, path: Path) -> None:
    if not path.exists():
        raise _cannot(place, f"{path} is missing")


def _refuse_other_memory(place: SnapshotPaths, node: str, part: NodePart) -> None:
    memory = place.memory(node)
    _refuse_missing(place, memory)
    _refuse_missing(place, place.domain(node))
    size = memory.stat().st_size
    if size != part.memory_bytes:
        raise _cannot(place, f"{memory} has {size} bytes, not {part.memory_bytes}")


def _refuse_other_machine(context: Context, place: SnapshotPaths, machine: Hardware) -> None:
    accelerator = context.accelerator()
    today = (accelerator.libvirt_driver, accelerator.cpu_model)
    then = (machine.accelerator, machine.cpu)
    if today != then:
        raise _cannot(
            place, f"it was made with {' and '.join(then)}, and this host has {' and '.join(today)}"
        )


def _cannot(place: SnapshotPaths, why: str) -> LabError:
    return LabError(
        f"snapshot {place.name} of lab {place.lab.name} can't be restored: {why}",
        hint=f"./invoke lab.snapshot-delete {place.lab.name} {place.name}",
    )
