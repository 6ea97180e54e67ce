"""Bundles that were written or taken, in sentences."""

from __future__ import annotations

from stacklab.views import tables
from stacklab.workflow.bundles.exporting import Exported
from stacklab.workflow.bundles.importing import Imported


def exported(bundle: Exported) -> str:
    """Return the lines about a bundle that was written."""
    manifest, image = bundle.index.manifest, bundle.index.image
    above = "with its base image" if image.is_inside else f"above the base image {image.key}"
    return (
        f"{bundle.file}: snapshot {manifest.name} of lab {manifest.lab}, {above}; "
        f"{tables.mebibytes(bundle.bytes)} of {tables.mebibytes(bundle.index.bytes)}\n"
        f"  key: {bundle.index.key}\n"
        "  the lab's keys and passwords are in it: keep it as you keep those\n"
        f"  next: ./invoke lab.import {bundle.file.name}, on a host like this one"
    )


def imported(bundle: Imported) -> str:
    """Return the lines about a bundle that is a snapshot now."""
    manifest = bundle.manifest
    return (
        f"snapshot {manifest.name} of lab {manifest.lab}: {tables.mebibytes(manifest.bytes)}\n"
        f"  key: {bundle.key}\n"
        f"  next: ./invoke lab.restore {manifest.lab} {manifest.name}"
    )
