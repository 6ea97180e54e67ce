"""`lab.plan`: find out what up would do, without touching anything."""

from __future__ import annotations

from stacklab import record
from stacklab.images import catalogue, store
from stacklab.installers import rendering as answers
from stacklab.model.lab import Lab, Node
from stacklab.model.state import NodeState
from stacklab.providers import registry
from stacklab.workflow.context import Context, last_resolved
from stacklab.workflow.lab import changes

Row = tuple[str, str, str]


def plan(context: Context, lab: Lab) -> tuple[Row, ...]:
    """Return rows of (what, what happens to it, why), in the order of lab.up."""
    lab_record = registry.read(context.host.lab(lab.name))
    if lab_record is not None:
        record.refuse_foreign(lab_record)
        changes.refuse(lab, last_resolved(context.host.lab(lab.name)))
    return (
        *_image(context, lab, lab_record),
        *_networks(lab, lab_record),
        *_nodes(context, lab, lab_record),
        *_answers(lab),
    )


def _image(context: Context, lab: Lab, lab_record: record.LabRecord | None) -> tuple[Row, ...]:
    if lab_record is not None:
        return (("image", "keep", lab_record.image),)
    images = catalogue.load()
    rows: list[Row] = []
    for name in lab.images:
        image = catalogue.get(images, name)
        if store.find(context.host, image) is not None:
            return (*rows, (f"image {name}", "use", "it is built"))
        # Whether a source can be reached is seen by asking it; a plan asks nobody.
        source = f"{image.source} {image.url}".rstrip()
        rows.append((f"image {name}", "build", f"if its source can be had: {source}"))
    return tuple(rows)


def _networks(lab: Lab, lab_record: record.LabRecord | None) -> tuple[Row, ...]:
    existing = {network.name for network in lab_record.networks} if lab_record else set()
    rows: list[Row] = []
    for network in lab.networks:
        action = "make" if network.is_made_by_us else "join"
        if network.name in existing:
            action = "keep"
        about = f"{network.cidr} {network.mode}, bridge {network.bridge}"
        rows.append((f"network {network.name}", action, about))
    return tuple(rows)


def _nodes(context: Context, lab: Lab, lab_record: record.LabRecord | None) -> tuple[Row, ...]:
    states = _states(context, lab_record) if lab_record else {}
    actions = {
        NodeState.RUNNING: "leave alone",
        NodeState.PAUSED: "resume",
        NodeState.OFF: "start",
        NodeState.CRASHED: "start",
    }
    rows: list[Row] = []
    for node in lab.nodes:
        action = actions.get(states.get(node.name, NodeState.ABSENT), "make")
        about = f"{node.cpus} cpu, {node.memory}, {_addresses(node)}"
        rows.append((f"node {node.name}", action, about))
    return tuple(rows)


def _addresses(node: Node) -> str:
    return ", ".join(str(nic.address.ip) for nic in node.nics)


def _states(context: Context, lab_record: record.LabRecord) -> dict[str, NodeState]:
    """Return what nodes do, but for those half made: they are made again, whatever they do."""
    states = context.states(lab_record)
    return {
        node.name: states[node.name]
        for node in lab_record.nodes
        if node.is_created and node.name in states
    }


def _answers(lab: Lab) -> tuple[Row, ...]:
    rendered = answers.preview(lab)
    return tuple(
        (f"answers {node}", "write", ", ".join(map(str, files)))
        for node, files in rendered.items()
        if files
    )
