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
    its_record = registry.read(context.host.lab(lab.name))
    if its_record is not None:
        record.refuse_foreign(its_record)
        changes.refuse(lab, last_resolved(context.host.lab(lab.name)))
    return (
        *_image(context, lab, its_record),
        *_networks(lab, its_record),
        *_nodes(context, lab, its_record),
        *_answers(lab),
    )


def _image(context: Context, lab: Lab, its_record: record.LabRecord | None) -> tuple[Row, ...]:
    if its_record is not None:
        return (("image", "keep", its_record.image),)
    images = catalogue.load()
    rows: list[Row] = []
    for name in lab.images:
        image = catalogue.get(images, name)
        if store.find(context.host, image) is not None:
            return (*rows, (f"image {name}", "use", "it is built"))
        rows.append(
            (
                f"image {name}",
                "build",
                f"if its source can be had: {image.source} {image.url}".rstrip(),
            )
        )
    return tuple(rows)


def _networks(lab: Lab, its_record: record.LabRecord | None) -> tuple[Row, ...]:
    made = {network.name for network in its_record.networks} if its_record else set()
    return tuple(
        (
            f"network {network.name}",
            "keep" if network.name in made else "make" if network.is_made_by_us else "join",
            f"{network.cidr} {network.mode}, bridge {network.bridge}",
        )
        for network in lab.networks
    )


def _nodes(context: Context, lab: Lab, its_record: record.LabRecord | None) -> tuple[Row, ...]:
    states = _states(context, its_record) if its_record else {}
    actions = {
        NodeState.RUNNING: "leave alone",
        NodeState.PAUSED: "resume",
        NodeState.OFF: "start",
        NodeState.CRASHED: "start",
    }
    return tuple(
        (
            f"node {node.name}",
            actions.get(states.get(node.name, NodeState.ABSENT), "make"),
            f"{node.cpus} cpu, {node.memory}, {_addresses(node)}",
        )
        for node in lab.nodes
    )


def _addresses(node: Node) -> str:
    return ", ".join(str(nic.address.ip) for nic in node.nics)


def _states(context: Context, its_record: record.LabRecord) -> dict[str, NodeState]:
    """Return what nodes do, but for those half made: they are made again, whatever they do."""
    states = context.states(its_record)
    return {
        node.name: states[node.name]
        for node in its_record.nodes
        if node.is_created and node.name in states
    }


def _answers(lab: Lab) -> tuple[Row, ...]:
    rendered = answers.preview(lab)
    return tuple(
        (f"answers {node}", "write", ", ".join(map(str, files)))
        for node, files in rendered.items()
        if files
    )
