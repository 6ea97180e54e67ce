"""Names of nodes that somebody typed."""

from __future__ import annotations

from stacklab.errors import LabError
from stacklab.model.lab import Lab, Node


def node_named(lab: Lab, name: str, *, hint: str) -> Node:
    """Return the lab's node of that name; raises LabError listing those that it has."""
    for node in lab.nodes:
        if node.name == name:
            return node
    known = ", ".join(node.name for node in lab.nodes)
    raise LabError(f"{name!r} is not a node of lab {lab.name} (it has: {known})", hint=hint)
