"""Snapshots, as tables and sentences."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from stacklab.codec import JSON
from stacklab.model.snapshot import CODEC, SnapshotManifest
from stacklab.views import tables


def saved(manifest: SnapshotManifest) -> str:
    """Return the sentence about a snapshot that was made."""
    return (
        f"snapshot {manifest.name} of lab {manifest.lab}: {tables.mebibytes(manifest.bytes)}; "
        f"its nodes stood still for {manifest.paused_s:.1f} s, "
        f"stopped within {manifest.skew_s * 1000:.0f} ms of each other\n"
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
        rows.append((manifest.name, made, ", ".join(manifest.nodes), size, manifest.image))
    return tables.table(("snapshot", "made", "nodes", "takes", "image"), rows)


def as_dicts(manifests: Sequence[SnapshotManifest]) -> list[dict[str, JSON]]:
    """Return the snapshots for programs."""
    return [CODEC.encode(manifest) for manifest in manifests]
