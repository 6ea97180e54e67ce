"""Meanings of a node's role for the cloud."""

from __future__ import annotations

from stacklab.model.lab import Lab, Node
from stacklab.model.stack import Role


def has_compute(lab: Lab, node: Node) -> bool:
    """Return True if instances run on the node.

    They run on computes, and on a controller that has no computes beside it.
    """
    if node.role is Role.COMPUTE:
        return True
    is_controller = node.name == lab.controller.name
    return is_controller and not lab.computes


def compute_nodes(lab: Lab) -> tuple[Node, ...]:
    """Return the nodes that instances run on."""
    return tuple(node for node in lab.nodes if has_compute(lab, node))


def is_in_cloud(lab: Lab, node: Node) -> bool:
    """Return True if the node is part of the cloud; one of role `node` is a bystander."""
    return node.role is not Role.NODE or node.name == lab.controller.name
