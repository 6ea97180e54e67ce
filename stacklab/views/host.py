"""The base images of this host, its mirror of git, and the results of its probes, for people."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from stacklab.views.tables import mebibytes, table

if TYPE_CHECKING:
    from stacklab.doctor import ProbeResult
    from stacklab.images.catalogue import Image
    from stacklab.images.store import StoredImage
    from stacklab.workflow.mirror.fill import FilledProject

# By the status's word, as ProbeStatus has it.
_PROBE_STYLE = {"ok": "green", "info": "cyan", "warning": "yellow", "failed": "red"}
# By what became of a project: FillOutcome.
_FILL_STYLE = {"filled": "green", "there": "", "missing": "red"}


def images_table(
    catalogue: Mapping[str, Image],
    stored_images: Sequence[StoredImage],
    current_addresses: Mapping[str, str],
) -> Table:
    """Return a line per image of the catalogue, and below it one per image that was built of it."""
    rows: list[Sequence[object]] = []
    for name, image in catalogue.items():
        built_rows: list[Sequence[object]] = []
        for stored in stored_images:
            if stored.name == name:
                built_rows.append(_built_row(stored, current_addresses[name]))
        state = "" if built_rows else "not built"
        rows.append((name, image.source, image.description, state, "", ""))
        rows += built_rows
    return table(("image", "source", "what", "state", "size", "built"), rows)


def _built_row(stored: StoredImage, current_address: str) -> Sequence[object]:
    """Return the line of an image that was built; one of other inputs is out of date."""
    state = Text("of other inputs", "yellow")
    if stored.address == current_address:
        state = Text("current", "green")
    size = mebibytes(stored.size_bytes)
    built_at = time.strftime("%Y-%m-%d %H:%M", time.localtime(stored.built_at))
    return ("", "", stored.key, state, size, built_at)


def probes_table(results: Sequence[ProbeResult]) -> Table:
    """Return a line per probe of the doctor, with the fix of what does not hold."""
    rows = []
    for probe in results:
        status = str(probe.status)
        text = probe.sentence
        if probe.fix and status != "ok":
            text += f"\n  fix: {probe.fix}"
        rows.append((Text(status, _PROBE_STYLE[status]), probe.name, text))
    return table(("", "probe", "what"), rows)


def mirror_table(mirror: Path, filled: Sequence[FilledProject]) -> Table:
    """Return a table of the projects that a lab needs, and how filling ended for each."""
    rows = []
    for row in filled:
        outcome = Text(row.outcome, _FILL_STYLE[row.outcome])
        rows.append((row.project.path, row.project.ref or "all", outcome, row.why))
    return table((f"in {mirror}", "branch", "result", "why"), rows)
