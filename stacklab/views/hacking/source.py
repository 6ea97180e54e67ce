"""Source of a project on a lab's nodes, for people and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from stacklab.views.tables import table
from stacklab.words import plural

if TYPE_CHECKING:
    from stacklab.workflow.source.checkout import CheckedOut, ServiceCode, Synced

_MOST_FILES = 5


def checked_out_lines(lab: str, done: CheckedOut) -> list[str]:
    """Return what runs now, and what to type next."""
    found = done.tree
    lines = [
        f"{done.project} {found.commit} ({found.branch or 'of no branch'}, "
        f"{plural(done.files, 'file')}) from {found.directory}"
    ]
    lines += [f"{each.name} on {each.node} runs it" for each in done.services]
    lines += list(done.notes)
    lines.append(f"  next: ./invoke dev.sync {lab} {done.project} --watch")
    lines.append(f"  undo: ./invoke dev.revert {lab} {done.project}")
    return lines


def status_table(found: Sequence[ServiceCode]) -> Table:
    """Return a table of all services."""
    rows = [
        (
            each.project,
            each.service,
            each.node,
            each.state,
            Text(f"yours, {each.commit}", style="green") if each.commit else "the package's",
            each.path,
        )
        for each in found
    ]
    return table(("project", "service", "node", "state", "code", "imported from"), rows)


def status_json(found: Sequence[ServiceCode]) -> list[dict[str, object]]:
    """Return the same for programs."""
    return [dataclasses.asdict(each) for each in found]


def synced_line(synced: Synced) -> str:
    """Return what one look has brought over."""
    names = ", ".join(synced.files[:_MOST_FILES])
    more = len(synced.files) - _MOST_FILES
    if more > 0:
        names += f" and {more} more"
    services = ", ".join(synced.restarted)
    return f"{synced.node}: {names}; restarted {services} in {synced.took_s:.1f} s"
