"""Nodes of this host's other labs, which the lab that is checked must not reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stacklab import record
from stacklab.errors import LabError
from stacklab.model.lab import Lab, Node
from stacklab.model.state import NodeState
from stacklab.providers import registry
from stacklab.workflow.context import Context, last_resolved

_MOST_LABS = 3  # more would not tell more


def nodes(context: Context, lab: Lab) -> Mapping[str, str]:
    """Return a node that runs of each of a few other labs, NODE of LAB by its address.

    Addresses that the lab has on a network of its own are left out: they lead to its own nodes.
    """
    found: dict[str, str] = {}
    for name in record.names(context.host):
        if name == lab.name or len(found) >= _MOST_LABS:
            continue
        for node in _running(context, name):
            address = node.access.address.ip
            if not any(address in network.cidr for network in lab.networks):
                found[str(address)] = f"{node.name} of {name}"
                break
    return found


def _running(context: Context, name: str) -> Iterator[Node]:
    """Yield the nodes of a lab that run, on networks of its own; none of a damaged lab."""
    paths = context.host.lab(name)
    try:
        lab_record = registry.read(paths)
        lab = last_resolved(paths)
        if lab_record is None or lab is None:
            return
        states = context.states(lab_record)
    except LabError:
        return
    for node in lab.nodes:
        is_own = lab.network(node.access.network).is_made_by_us
        if is_own and states.get(node.name) is NodeState.RUNNING:
            yield node
