"""Snapshots, as tables and sentences."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.table import Table

from stacklab.codec import JSON
from stacklab.model.snapshot import CODEC, SnapshotManifest
from stacklab.views import tables


def saved(manifest: SnapshotManifest) -> str:
    """Return the sentence about a snapshot that was made."""
    return (
        f"snapshot {manifest.name} of lab {manifest.lab}: {_size(manifest.bytes)}; "
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
        made = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(manifest.made_at))
        nodes = ", ".join(manifest.nodes)
        rows.append((manifest.name, made, nodes, _size(manifest.bytes), manifest.image))
    return tables.table(("snapshot", "made", "nodes", "takes", "image"), rows)


def as_dicts(manifests: Sequence[SnapshotManifest]) -> list[dict[str, JSON]]:
    """Return the snapshots for programs."""
    return [CODEC.encode(manifest) for manifest in manifests]


def _size(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"
