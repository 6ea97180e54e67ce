"""What lies in a lab's directory of snapshots: manifests, and the disks below them.

A disk that was frozen once is below every disk that came after it. So it goes only when
neither a snapshot nor a node's disk is above it any more.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Collection
from pathlib import Path

from stacklab import files
from stacklab.codec import NotSuchData
from stacklab.errors import HostError, LabError
from stacklab.model.snapshot import CODEC, SnapshotManifest
from stacklab.paths import HostPaths, LabPaths, SnapshotPaths
from stacklab.paths.names import PRISTINE, STAGE_PREFIX
from stacklab.process.command import Runner
from stacklab.providers import frozen_disks
from stacklab.words import suggest

_FREE_BYTES = 1 << 30  # what has to be left on the disk for the nodes themselves
_SECRET = 0o700
# QEMU, as a user of its own, reads the frozen disks.
_PASSABLE = 0o711


def is_automatic(name: str) -> bool:
    """Return True for the name of a snapshot that lab.up or lab.stack makes by itself."""
    return name == PRISTINE or name.startswith(STAGE_PREFIX)


def make_directory(place: SnapshotPaths) -> None:
    """Make an empty directory for a snapshot, readable for its owner alone."""
    for directory in (place.lab.snapshots, place.lab.frozen_disks):
        files.make_directory(directory)
        directory.chmod(_PASSABLE)
    place.root.mkdir(mode=_SECRET)
    place.root.chmod(_SECRET)


def write(place: SnapshotPaths, manifest: SnapshotManifest) -> None:
    """Write the manifest, by which the snapshot exists."""
    text = json.dumps(CODEC.encode(manifest), indent=2) + "\n"
    files.write(place.manifest, text, mode=0o600)


def write_size(
    place: SnapshotPaths, manifest: SnapshotManifest, runner: Runner
) -> SnapshotManifest:
    """Write what a snapshot takes on this host's disk into its manifest, and return that."""
    disks = [place.lab.frozen_disks / disk for disk in manifest.disks]
    manifest = dataclasses.replace(manifest, bytes=bytes_taken(place, disks, runner))
    write(place, manifest)
    return manifest


def listed(paths: LabPaths) -> tuple[SnapshotManifest, ...]:
    """Return a lab's snapshots, the oldest first; raises LabError for one that is damaged."""
    manifests = [_read(paths.snapshot(name)) for name in paths.snapshot_names()]
    return tuple(sorted(manifests, key=lambda manifest: manifest.made_at))


def read(paths: LabPaths, name: str) -> SnapshotManifest:
    """Return a snapshot; raises LabError, with the nearest name, if there is none."""
    place = paths.snapshot(name)
    if not place.manifest.exists():
        known = paths.snapshot_names()
        raise LabError(
            f"lab {paths.name} does not have a snapshot {name!a}"
            + (f" ({suggest(name, known, label='it has')})" if known else ": it has none"),
            hint=f"./invoke lab.snapshots {paths.name}",
        )
    return _read(place)


def _read(place: SnapshotPaths) -> SnapshotManifest:
    try:
        manifest = CODEC.decode(json.loads(place.manifest.read_text()))
        if (manifest.lab, manifest.name) != (place.lab.name, place.name):
            raise NotSuchData("", f"is of snapshot {manifest.name} of lab {manifest.lab}")
        for disk in manifest.disks:
            if Path(disk).name != disk:
                raise NotSuchData("nodes", f"has a disk {disk!a}, which is not one of the lab's")
    except (OSError, ValueError, RecursionError) as error:
        raise LabError(
            f"snapshot {place.name} of lab {place.lab.name} is damaged: {place.manifest}: {error}",
            hint=f"./invoke lab.snapshot-delete {place.lab.name} {place.name}",
        ) from error
    return manifest


def remove(place: SnapshotPaths) -> None:
    """Remove a snapshot, but for its disks; absent is success."""
    # First: what has lost its manifest is not a snapshot any more, whatever is left of it.
    place.manifest.unlink(missing_ok=True)
    shutil.rmtree(place.root, ignore_errors=True)


def sweep(paths: LabPaths, runner: Runner) -> None:
    """Remove the frozen disks that neither a snapshot nor a disk of the lab has below it.

    And what a killed command has left of a snapshot, made or imported, that has no manifest:
    gigabytes of memory.
    """
    if not paths.snapshots.is_dir():
        return
    disks = [paths.frozen_disks / disk for manifest in listed(paths) for disk in manifest.disks]
    needed = frozen_disks.needed(disks, paths, runner)
    frozen_disks.remove_all_but(needed, paths, runner)
    known = {paths.frozen_disks.name, *paths.snapshot_names()}
    for directory in paths.snapshots.glob("*/"):
        if directory.name not in known:
            shutil.rmtree(directory)
    if not any(paths.frozen_disks.glob("*")) and not listed(paths):
        shutil.rmtree(paths.snapshots)


def remove_all(paths: LabPaths, runner: Runner, *, but: str = "") -> bool:
    """Remove all snapshots of a lab whose nodes are gone, but for the one of that name.

    Returns False if there was nothing to remove.
    """
    if not but or not _is_whole(paths, but):
        if not paths.snapshots.exists():
            return False
        frozen_disks.remove_all_but((), paths, runner)
        shutil.rmtree(paths.snapshots, ignore_errors=True)
        return True
    others = [
        directory
        for directory in paths.snapshots.glob("*/")
        if directory.name not in (paths.frozen_disks.name, but)
    ]
    for directory in others:
        shutil.rmtree(directory)
    was_cut_short = paths.snapshot_intent.exists()
    paths.snapshot_intent.unlink(missing_ok=True)
    sweep(paths, runner)
    return bool(others) or was_cut_short


def _is_whole(paths: LabPaths, name: str) -> bool:
    """Return True if the lab has a snapshot of that name, and its manifest can be read."""
    try:
        read(paths, name)
    except LabError:
        return False
    return True


def images(host: HostPaths) -> set[str]:
    """Return the keys of the images that snapshots of this host's labs lie on."""
    keys: set[str] = set()
    for directory in host.snapshots.glob("*/"):
        keys.update(manifest.image for manifest in listed(host.lab(directory.name)))
    return keys


def bytes_taken(place: SnapshotPaths, disks: Collection[Path], runner: Runner) -> int:
    """Return what a snapshot with these disks takes on this host's disk, holes left out."""
    taken = sum(path.stat().st_blocks * 512 for path in place.root.iterdir())
    return taken + frozen_disks.bytes_of(disks, runner)


def refuse_full_disk(host: HostPaths, needed: int, *, what: str, hint: str, why: str = "") -> None:
    """Raise HostError unless so many bytes fit beside what running nodes may still write."""
    wanted = needed + _FREE_BYTES
    free = shutil.disk_usage(host.root).free
    if free < wanted:
        raise HostError(
            f"{host.root} has {free / 1e9:.1f} GB free; {what} takes up to "
            f"{wanted / 1e9:.1f} GB{why}",
            hint=hint,
        )
