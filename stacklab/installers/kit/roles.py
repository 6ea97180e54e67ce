"""What a node's role means for the cloud."""

from __future__ import annotations

from stacklab.model.lab import Lab, Node
from stacklab.model.stack import Role


def has_compute(lab: Lab, node: Node) -> bool:
    """Return True if instances run on the node.

    They run on computes, and on a controller that has no computes beside it.
    """
    if node.role is Role.COMPUTE:
        return True
    has_other_computes = any(other.name != node.name for other in lab.computes)
    return node.name == lab.controller.name and not has_other_computes


def is_in_cloud(lab: Lab, node: Node) -> bool:
    """Return True if the node is part of the cloud; one of role `node` is a bystander."""
    return node.role is not Role.NODE or node.name == lab.controller.name
