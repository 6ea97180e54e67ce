"""Snapshots, as tables and sentences."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from stacklab.codec import JSON
from stacklab.model.snapshot import CODEC, SnapshotKind, SnapshotManifest
from stacklab.views import tables
from stacklab.workflow.snapshots.cache import Kept

_HOLDS = {
    SnapshotKind.MEMORY: "memory and disks",
    SnapshotKind.DISKS: "disks only: nodes boot from it",
}


def saved(manifest: SnapshotManifest) -> str:
    """Return the sentence about a snapshot that was made."""
    size = tables.mebibytes(manifest.bytes)
    if manifest.kind is SnapshotKind.DISKS:
        what = f"{size}, {_HOLDS[manifest.kind]}; its nodes were off for {manifest.paused_s:.1f} s"
    else:
        what = (
            f"{size}; its nodes stood still for {manifest.paused_s:.1f} s, "
            f"stopped within {manifest.skew_s * 1000:.0f} ms of each other"
        )
    return (
        f"snapshot {manifest.name} of lab {manifest.lab}: {what}\n"
        f"  next: ./invoke lab.restore {manifest.lab} {manifest.name}"
    )


def snapshots_table(manifests: Sequence[SnapshotManifest]) -> Table | str:
    """Return a row for each snapshot."""
    if not manifests:
        return "no snapshots"
    rows = []
    for manifest in manifests:
        made = tables.moment(manifest.made_at)
        size = tables.mebibytes(manifest.bytes)
        nodes, holds = ", ".join(manifest.nodes), _HOLDS[manifest.kind]
        rows.append((manifest.name, made, nodes, holds, size, manifest.image))
    return tables.table(("snapshot", "made", "nodes", "holds", "takes", "image"), rows)


def still_kept(kept: Kept) -> str:
    """Return what `lab.destroy` says about the snapshot that it leaves."""
    size = tables.mebibytes(kept.manifest.bytes)
    return (
        f"its pristine snapshot ({size}) stays, for the next lab.up\n"
        f"  next: ./invoke lab.destroy {kept.lab} --purge removes it, too"
    )


def kept_table(everything: Sequence[Kept], limit_bytes: int) -> Table | str:
    """Return a row for each pristine snapshot, and what all may take."""
    if not everything:
        return f"no pristine snapshots; they may take {tables.mebibytes(limit_bytes)}"
    rows = []
    for kept in everything:
        size = tables.mebibytes(kept.manifest.bytes)
        used = tables.moment(kept.used_at)
        made = tables.moment(kept.manifest.made_at)
        rows.append((kept.lab, "up" if kept.is_up else "", made, used, size, kept.manifest.image))
    taken = tables.mebibytes(sum(kept.manifest.bytes for kept in everything))
    rows.append(("all", "", "", "", taken, f"of {tables.mebibytes(limit_bytes)} at most"))
    return tables.table(("lab", "", "made", "last used", "takes", "image"), rows)


def as_dicts(manifests: Sequence[SnapshotManifest]) -> list[dict[str, JSON]]:
    """Return the snapshots for programs."""
    return [CODEC.encode(manifest) for manifest in manifests]
