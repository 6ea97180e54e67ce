"""The labs of this host and their nodes' states, for people."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from stacklab.views import tables

if TYPE_CHECKING:  # types alone: with no lab on record, nothing of libvirt is loaded
    from stacklab.workflow.lab.status import LabStatus

# By the state's word, as NodeState has it; every other state is yellow.
_STATE_STYLE = {"running": "green", "absent": "red"}
_HEADER = ("lab", "node", "state", "address", "image")


def status_table(statuses: Sequence[LabStatus]) -> Table:
    """Return a line per node of these labs.

    Where one of the labs has a time to live, a further column says what is left of it.
    """
    has_ends = False
    rows: list[tuple[str | Text, ...]] = []
    for status in statuses:
        has_ends = has_ends or status.expires_at is not None
        rows += _lab_rows(status)
    if has_ends:
        return tables.table((*_HEADER, "lab.reap"), rows)
    return tables.table(_HEADER, [row[:-1] for row in rows])


def _lab_rows(status: LabStatus) -> Iterator[tuple[str | Text, ...]]:
    """Yield the rows of a lab; one that is damaged has its trouble in a row of its own."""
    if status.trouble:
        yield (status.name, "", Text("damaged", "red"), "-", status.trouble, "")
    addresses: dict[str, str] = {}
    if status.lab is not None:
        for lab_node in status.lab.nodes:
            addresses[lab_node.name] = str(lab_node.access.address.ip)
    # What is said of the whole lab stands in its first line only.
    name = status.name
    image = status.image
    time_left = _time_left(status.expires_at)
    for node, state in status.states.items():
        styled_state = Text(str(state), _STATE_STYLE.get(str(state), "yellow"))
        yield (name, node, styled_state, addresses.get(node, "-"), image, time_left)
        name = image = time_left = ""


def _time_left(expires_at: float | None) -> str:
    """Return what is left of a lab's time to live; "" if it lives on."""
    if expires_at is None:
        return ""
    from stacklab.workflow.lab import lifetime

    return lifetime.left(expires_at, time.time())
