"""Refuse specs that changed too much for the lab that exists."""

from __future__ import annotations

import dataclasses

from stacklab.errors import SpecError
from stacklab.model.lab import NO_IMPAIRMENT, Lab, Node


class SpecChanged(SpecError):
    """Nodes or networks of a lab that exists were changed in its spec."""

    def __init__(self, name: str, changed: list[str]) -> None:
        super().__init__((), hint=f"./invoke lab.rebuild {name} (or undo the change)")
        self.message = f"lab {name} exists, and its spec has changed since: {', '.join(changed)}"


def refuse(lab: Lab, before: Lab | None) -> None:
    """Raise SpecChanged if more differs than may: answers, checks and impairments."""
    if before is None:
        return
    made = (tuple(map(_as_made, before.nodes)), tuple(map(_as_made, lab.nodes)))
    changed = [
        f"{kind} {name}"
        for kind, old, new in (("network", before.networks, lab.networks), ("node", *made))
        for name in sorted(
            {item.name for item in {*old, *new} if item not in old or item not in new}
        )
    ]
    if changed:
        raise SpecChanged(lab.name, changed)


def _as_made(node: Node) -> Node:
    """Return the node without what `up` sets each time."""
    return dataclasses.replace(
        node, nics=tuple(dataclasses.replace(nic, impairment=NO_IMPAIRMENT) for nic in node.nics)
    )
