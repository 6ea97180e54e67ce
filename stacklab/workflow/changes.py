"""What a changed spec means for a lab that exists."""

from __future__ import annotations

from stacklab.errors import SpecError
from stacklab.model import Lab


class SpecChanged(SpecError):
    """Nodes or networks of a lab that exists were changed in its spec."""

    def __init__(self, name: str, changed: list[str]) -> None:
        super().__init__((), hint=f"./invoke lab.rebuild {name} (or undo the change)")
        self.message = f"lab {name} exists, and its spec has changed since: {', '.join(changed)}"


def refuse(lab: Lab, before: Lab | None) -> None:
    """Raise SpecChanged unless all that differs is what can be changed under a lab: answers, checks."""
    if before is None:
        return
    changed = [
        f"{kind} {name}"
        for kind, old, new in (("network", before.networks, lab.networks), ("node", before.nodes, lab.nodes))
        for name in sorted({item.name for item in {*old, *new} if item not in old or item not in new})
    ]
    if changed:
        raise SpecChanged(lab.name, changed)
