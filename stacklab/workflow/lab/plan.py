"""`lab.plan`: find out what up would do, without touching anything."""

from __future__ import annotations

from stacklab import record
from stacklab.images import catalogue, store
from stacklab.installers import rendering as answers
from stacklab.model.lab import Lab, Node, NodeKind
from stacklab.model.state import NodeState
from stacklab.providers import registry
from stacklab.workflow import base_image
from stacklab.workflow.context import Context, last_resolved
from stacklab.workflow.lab import changes, kinds

Row = tuple[str, str, str]

# What `lab.up` does with a node in each state; one in any other is made.
_ACTIONS = {
    NodeState.RUNNING: "leave alone",
    NodeState.PAUSED: "resume",
    NodeState.OFF: "start",
    NodeState.CRASHED: "start",
}


def plan(context: Context, lab: Lab) -> tuple[Row, ...]:
    """Return rows of (what, what happens to it, why), in the order of lab.up."""
    lab_record = registry.read(context.host.lab(lab.name))
    if lab_record is not None:
        record.refuse_foreign(lab_record)
        lab = kinds.chosen(lab, lab_record, None)
        changes.refuse(lab, last_resolved(context.host.lab(lab.name)))
    return (
        *_image_rows(context, lab, lab_record),
        *_network_rows(lab, lab_record),
        *_node_rows(context, lab, lab_record),
        *_answer_rows(lab),
    )


def _image_rows(context: Context, lab: Lab, lab_record: record.LabRecord | None) -> tuple[Row, ...]:
    if lab_record is not None:
        return (("image", "keep", lab_record.image),)
    images = catalogue.load()
    rows: list[Row] = []
    for name in lab.images:
        image = catalogue.get(images, name)
        why_not = base_image.why_no_node(lab, image)
        if why_not:
            rows.append((f"image {name}", "pass over", why_not))
            continue
        # `lab.up` tries those before it first, and does not get to those behind it.
        if store.find(context.host, image) is not None:
            return (*rows, (f"image {name}", "use", "it is built"))
        # Whether a source can be reached is seen by asking it; a plan asks nobody.
        source = f"{image.source} {image.url}".rstrip()
        rows.append((f"image {name}", "build", f"if its source can be had: {source}"))
    return tuple(rows)


def _network_rows(lab: Lab, lab_record: record.LabRecord | None) -> tuple[Row, ...]:
    existing = {network.name for network in lab_record.networks} if lab_record else set()
    rows: list[Row] = []
    for network in lab.networks:
        action = "make" if network.is_made_by_us else "join"
        if network.name in existing:
            action = "keep"
        about = f"{network.cidr} {network.mode}, bridge {network.bridge}"
        rows.append((f"network {network.name}", action, about))
    return tuple(rows)


def _node_rows(context: Context, lab: Lab, lab_record: record.LabRecord | None) -> tuple[Row, ...]:
    states = _states_of_made(context, lab_record) if lab_record else {}
    rows: list[Row] = []
    for node in lab.nodes:
        state = states.get(node.name, NodeState.ABSENT)
        action = _ACTIONS.get(state, "make")
        kind = "container, " if node.kind is NodeKind.CONTAINER else ""
        about = f"{kind}{node.cpus} cpu, {node.memory}, {_addresses(node)}"
        rows.append((f"node {node.name}", action, about))
    return tuple(rows)


def _addresses(node: Node) -> str:
    return ", ".join(str(nic.address.ip) for nic in node.nics)


def _states_of_made(context: Context, lab_record: record.LabRecord) -> dict[str, NodeState]:
    """Return what nodes do, but for those half made: they are made again, whatever they do."""
    all_states = context.states(lab_record)
    states: dict[str, NodeState] = {}
    for node in lab_record.nodes:
        if node.is_created and node.name in all_states:
            states[node.name] = all_states[node.name]
    return states


def _answer_rows(lab: Lab) -> tuple[Row, ...]:
    rows: list[Row] = []
    for node, files in answers.preview(lab).items():
        if files:
            rows.append((f"answers {node}", "write", ", ".join(map(str, files))))
    return tuple(rows)
