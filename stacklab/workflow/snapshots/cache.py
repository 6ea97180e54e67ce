"""The pristine snapshots of this host's labs: how much disk they may take, and who goes first."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from stacklab import settings
from stacklab.errors import LabError
from stacklab.model.snapshot import SnapshotManifest
from stacklab.paths import HostPaths, LabPaths
from stacklab.paths.names import PRISTINE
from stacklab.workflow.context import Context
from stacklab.workflow.snapshots import store

# Of the disk that is free, or that they take already.
_DEFAULT_SHARE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A pristine snapshot."""

    manifest: SnapshotManifest
    used_at: float  # Unix time: when it was made, or last restored
    is_up: bool  # its lab exists

    @property
    def lab(self) -> str:
        """Return the lab's name."""
        return self.manifest.lab


def listed(host: HostPaths) -> tuple[Kept, ...]:
    """Return what is kept, the one that was used last first."""
    found: list[Kept] = []
    for directory in host.snapshots.glob("*/"):
        kept = of_lab(host, directory.name)
        if kept is not None:
            found.append(kept)
    return tuple(sorted(found, key=lambda kept: kept.used_at, reverse=True))


def of_lab(host: HostPaths, name: str) -> Kept | None:
    """Return a lab's; None if there is none, or if it is damaged."""
    with contextlib.suppress(LabError):  # also for what can't be a lab's name
        paths = host.lab(name)
        manifest_file = paths.pristine().manifest
        if manifest_file.exists():
            return Kept(
                manifest=store.read(paths, PRISTINE),
                used_at=manifest_file.stat().st_mtime,
                is_up=paths.record.exists(),
            )
    return None


def note_use(paths: LabPaths) -> None:
    """Say that a lab was brought back from its pristine snapshot now."""
    os.utime(paths.pristine().manifest)


def limit_bytes(host: HostPaths) -> int:
    """Return how much they may take; 0: none is made. Raises HostError for settings that are wrong.

    `cache:` of H/settings.yaml says so; without it, a quarter of the disk that is free or
    that they take.
    """
    chosen = settings.read(host).cache_bytes
    if chosen is not None:
        return chosen
    taken = sum(kept.manifest.bytes for kept in listed(host))
    return int((shutil.disk_usage(host.root).free + taken) * _DEFAULT_SHARE)


def prune(context: Context, *, keep: str = "", everything: bool = False) -> Sequence[Kept]:
    """Delete those of labs that are not up, the longest unused first, until the rest is in limits.

    With `everything`, all of these. Never that of the lab `keep`, whose lock the caller may
    hold. One that another command is about to restore is left alone. Returns what was deleted.
    """
    limit = 0 if everything else limit_bytes(context.host)
    kept = list(listed(context.host))
    taken = sum(one.manifest.bytes for one in kept)
    deleted: list[Kept] = []
    for one in reversed(kept):
        if taken <= limit and not everything:
            break
        if one.is_up or one.lab == keep or not _delete(context, one.lab):
            continue
        taken -= one.manifest.bytes
        deleted.append(one)
    return deleted


def _delete(context: Context, name: str) -> bool:
    """Delete a lab's pristine snapshot, unless somebody is at work on the lab."""
    try:
        with context.lab_lock(name, finishes=False, wait_s=0) as paths:
            if paths.record.exists() or paths.snapshot_intent.exists():
                return False
            store.remove(paths.pristine())
            store.sweep(paths, context.runner)
    except LabError:
        return False
    return True
