"""What a changed spec costs the lab that exists: a line per change, for people and machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from stacklab.views.tables import table

if TYPE_CHECKING:  # types alone
    from stacklab.workflow.lab.changes.change import Change, Changes, Row

_STYLE = {"reboot": "yellow", "rebuild": "red", "remove": "red", "refused": "red"}


def changes_tables(changes: Changes, lost: Sequence[str] = ()) -> list[Table | str]:
    """Return a table with a line per change, and what is good to know; nothing for nothing.

    `lost` says which VMs of the lab's cloud would be lost.
    """
    if not changes.lines:
        return []
    rows = [_row(change) for change in changes]
    return [
        table(("changed", "how", "cost", "why"), rows),
        *_note_lines((*changes.notes, *lost)),
        "",
    ]


def plan_tables(
    changes: Changes, steps: Sequence[Row], lost: Sequence[str] = ()
) -> list[Table | str]:
    """Return what `lab.plan` shows: what changed, what is lost by it, and what `lab.up` does."""
    return [*changes_tables(changes, lost), table(("what", "", "why"), steps)]


def plan_as_dict(
    changes: Changes, steps: Sequence[Row], lost: Sequence[str] = ()
) -> dict[str, object]:
    """Return the same for machines."""
    from stacklab.workflow.lab.changes.change import CODEC

    return {
        "changes": [CODEC.encode(change) for change in changes],
        "notes": [*changes.notes, *lost],
        "steps": [{"what": what, "action": action, "why": why} for what, action, why in steps],
    }


def question(changes: Changes) -> str:
    """Return what a person is asked: `Reboot compute1, remove compute2?`."""
    from stacklab.workflow.lab.changes.change import Cost, Subject

    parts: list[str] = []
    for cost in (Cost.REBOOT, Cost.REBUILD, Cost.REMOVE):
        names = (*changes.names(Subject.NETWORK, cost), *changes.names(Subject.NODE, cost))
        if names:
            parts.append(f"{cost} {', '.join(names)}")
    words = ", ".join(parts)
    return f"{words[:1].upper()}{words[1:]}?"


def _row(change: Change) -> tuple[str | Text, ...]:
    cost = str(change.cost)
    return (change.about, change.text or "-", Text(cost, _STYLE.get(cost, "green")), change.why)


def _note_lines(notes: Sequence[str]) -> list[str]:
    # Names of VMs are in some: a bracket in one must not be taken for a style.
    return [escape(f"note: {note}") for note in notes]
