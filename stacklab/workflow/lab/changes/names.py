"""Tell nodes that run of nodes that are new or gone: /etc/hosts, and the host keys of all."""

from __future__ import annotations

import dataclasses

from stacklab import record
from stacklab.model.lab import Lab, Node
from stacklab.nodes import seed
from stacklab.nodes.access import Keys
from stacklab.paths import LabPaths
from stacklab.record import LabRecord
from stacklab.workflow.context import Context
from stacklab.workflow.copying import copy_to_node


def differ(made: Lab | None, lab: Lab, node: Node) -> bool:
    """Return True if a node that runs knows other names or addresses than those of today."""
    if made is None or node.name not in {other.name for other in made.nodes}:
        return False
    # Host keys belong to the names and addresses in it.
    return seed.hosts_file(made, node) != seed.hosts_file(lab, node)


def place(
    context: Context, lab: Lab, paths: LabPaths, lab_record: LabRecord, keys: Keys
) -> LabRecord:
    """Bring them to the nodes that lack them by their record; returns the record as it is then."""
    for node in lab.nodes:
        recorded = lab_record.node(node.name)
        if recorded is None or not recorded.lacks_names:
            continue
        copy_to_node(context, paths, node.name, seed.name_entries(lab, node, keys), what="names")
        # Recorded one by one: a run that is cut off here goes on with the next node.
        lab_record = lab_record.with_node(dataclasses.replace(recorded, lacks_names=False))
        record.write(paths, lab_record)
    return lab_record
