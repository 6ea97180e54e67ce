"""`lab.new` for people: where the new file is, which networks it got, and what to type next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from stacklab.spec.lab_files import shown
from stacklab.views.tables import table

if TYPE_CHECKING:  # a type alone
    from stacklab.workflow.lab.new import NewLab


def tables_of(written: NewLab) -> list[Table | str]:
    """Return what `lab.new` ends with."""
    name = written.lab.name
    networks = [(network.name, network.cidr, network.mode) for network in written.lab.networks]
    next_steps = [
        (f"./invoke lab.validate {name}", "name what is wrong with it, after each change"),
        (f"./invoke lab.up {name}", "bring it up"),
    ]
    return [
        f"{shown(written.path)} is written",
        *(f"note: {note}" for note in written.notes),
        "",
        table(("network", "cidr", "mode"), networks),
        "",
        table(("next", ""), next_steps),
    ]
