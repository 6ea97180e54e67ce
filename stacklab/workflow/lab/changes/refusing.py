"""Refuse what a changed spec keeps from being done, and what nobody has agreed to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stacklab.errors import SpecError
from stacklab.model.lab import Lab
from stacklab.record import LabRecord
from stacklab.workflow.lab.changes.change import Change, Changes, Cost, Subject
from stacklab.workflow.lab.changes.compare import compare


class SpecChanged(SpecError):
    """The spec of a lab that exists has changed, in a way that needs a decision."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__((), hint=hint)
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What somebody has agreed to have done to a lab that exists."""

    removes: bool = False  # --remove: nodes that the spec lacks may be destroyed
    to_all: bool = False  # --yes
    to: Changes | None = None  # what was shown to a person who said yes; None: nobody was asked

    def covers(self, changes: Changes) -> bool:
        """Return True if these may interrupt nodes."""
        # Compared whole: the spec may have changed again since the person read them.
        return self.to_all or self.to == changes


NO_CONSENT = Consent()


def refuse_unless_agreed(lab: str, changes: Changes, consent: Consent) -> None:
    """Raise SpecChanged for what can't be followed, and for what nobody has agreed to."""
    refused = changes.costing(Cost.REFUSED)
    if refused:
        raise SpecChanged(
            f"lab {lab} exists, and can't follow its spec: {_listed(refused)}",
            hint=f"./invoke lab.rebuild {lab} (or undo the change)",
        )
    typed = f"./invoke lab.up {lab}"
    removed = changes.names(Subject.NODE, Cost.REMOVE)
    if removed and not consent.removes:
        raise SpecChanged(
            f"the spec of lab {lab} lacks nodes that exist: {', '.join(removed)}",
            hint=f"{typed} --remove destroys them, with their disks (or undo the change)",
        )
    if changes.is_disruptive and not consent.covers(changes):
        remove = " --remove" if removed else ""
        interrupting = [change for change in changes if change.cost.is_disruptive]
        words = [f"{change} - {change.cost}" for change in interrupting]
        raise SpecChanged(
            f"lab {lab} exists, and following its spec would interrupt it: {'; '.join(words)}",
            hint=f"{typed}{remove} --yes does it; ./invoke lab.plan {lab} shows it",
        )


def refuse(lab: Lab, made: Lab | None, lab_record: LabRecord) -> None:
    """Raise SpecChanged if `lab.up` has more to do than what any task can leave to the next one.

    For tasks that work with today's spec on the nodes that exist.
    """
    changes = compare(made, lab, lab_record)
    unfollowed = [change for change in changes if change.cost is not Cost.LIVE or change.adds_nic]
    if unfollowed:
        names = dict.fromkeys(change.about for change in unfollowed)
        raise SpecChanged(
            f"lab {lab.name} exists, and its spec has changed since: {', '.join(names)}",
            hint=f"./invoke lab.plan {lab.name} shows what that means, "
            f"./invoke lab.up {lab.name} does it (or undo the change)",
        )


def _listed(changes: Sequence[Change]) -> str:
    return "; ".join(map(str, changes))
