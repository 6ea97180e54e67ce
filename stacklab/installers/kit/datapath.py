"""The datapath of a node's Open vSwitch: its kernel module, or the switch's own process."""

from __future__ import annotations

from stacklab.model.lab import Lab, Node, NodeKind
from stacklab.model.stack import NetworkingMode


def has_userspace_datapath(lab: Lab, node: Node) -> bool:
    """Return True if the node's Open vSwitch has to do without its kernel module."""
    uses_it = lab.stack.network_mode in (NetworkingMode.OVN, NetworkingMode.OVS)
    is_container = node.kind is NodeKind.CONTAINER
    return uses_it and is_container and lab.stack.lacks_openvswitch
