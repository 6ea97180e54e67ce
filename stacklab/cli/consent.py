"""Show what `lab.up` would change in a lab that exists, and ask before a node is interrupted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from stacklab.cli.framework.session import session, show
from stacklab.errors import LabError

if TYPE_CHECKING:
    from stacklab.model.lab import Lab, NodeKind
    from stacklab.workflow.lab.changes.change import Changes
    from stacklab.workflow.lab.changes.refusing import Consent


def ask(lab: Lab, all_as: NodeKind | None, *, removes: bool, agrees: bool) -> Consent:
    """Return what may be done; the lab is not held while somebody thinks about it.

    Raises LabError where the answer is no.
    """
    from stacklab.views import changes as views
    from stacklab.workflow.lab import plan
    from stacklab.workflow.lab.changes.refusing import Consent, refuse_unless_agreed

    with session() as context:
        changes = plan.changes_of(context, lab, all_as=all_as)
        lost = plan.losses(context, lab, changes)
    if changes.lines:
        show(*views.changes_tables(changes, lost))
    if agrees or not changes.is_disruptive or not _is_terminal():
        return Consent(removes=removes, to_all=agrees)
    shown = Consent(removes=removes, to=changes)
    # What would be refused in any case is not worth a question.
    refuse_unless_agreed(lab.name, changes, shown)
    _ask_person(lab.name, changes)
    return shown


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _ask_person(lab: str, changes: Changes) -> None:
    from stacklab.views import changes as views

    answer = input(f"{views.question(changes)} [y/N] ")
    if answer.strip().lower() not in ("y", "yes"):
        raise LabError("nothing was changed", hint=f"./invoke lab.plan {lab}")
