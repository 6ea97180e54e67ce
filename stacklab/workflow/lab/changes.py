"""Refuse specs that changed too much for the lab that exists."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from stacklab.errors import SpecError
from stacklab.model.lab import NO_IMPAIRMENT, Lab, Network, Node


class SpecChanged(SpecError):
    """Nodes or networks of a lab that exists were changed in its spec."""

    def __init__(self, name: str, changed: list[str]) -> None:
        super().__init__((), hint=f"./invoke lab.rebuild {name} (or undo the change)")
        self.message = f"lab {name} exists, and its spec has changed since: {', '.join(changed)}"


def refuse(lab: Lab, before: Lab | None) -> None:
    """Raise SpecChanged if more differs than may: answers, checks and impairments."""
    if before is None:
        return
    made_before = [_as_made(node) for node in before.nodes]
    made_now = [_as_made(node) for node in lab.nodes]
    networks = _changed_names(before.networks, lab.networks)
    nodes = _changed_names(made_before, made_now)
    changed = [f"network {name}" for name in networks] + [f"node {name}" for name in nodes]
    if changed:
        raise SpecChanged(lab.name, changed)


def _changed_names(before: Iterable[Network | Node], after: Iterable[Network | Node]) -> list[str]:
    """Return the names of what was added, removed or changed, sorted."""
    # Compared as whole values: a field that is added to the model later counts at once.
    changed = set(before) ^ set(after)
    # By name: what was changed is in both sets, as it was and as it is.
    return sorted({item.name for item in changed})


def _as_made(node: Node) -> Node:
    """Return the node without what `up` sets each time."""
    nics = [dataclasses.replace(nic, impairment=NO_IMPAIRMENT) for nic in node.nics]
    return dataclasses.replace(node, nics=tuple(nics))
