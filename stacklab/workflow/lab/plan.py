"""`lab.plan`: find out what up would do, without touching anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from stacklab import doctor, installers
from stacklab.images import catalogue, store
from stacklab.installers import rendering as answers
from stacklab.installers.kit.roles import compute_nodes
from stacklab.model.lab import Lab, Node, NodeKind
from stacklab.model.state import NodeState
from stacklab.providers import registry
from stacklab.record import LabRecord
from stacklab.workflow import base_image, spec_files
from stacklab.workflow.cloud import departed
from stacklab.workflow.context import Context, last_resolved, read_own
from stacklab.workflow.lab import kinds
from stacklab.workflow.lab.changes import nics
from stacklab.workflow.lab.changes.change import Changes, Cost, Row, Subject
from stacklab.workflow.lab.changes.compare import compare
from stacklab.workflow.snapshots import pristine

# What `lab.up` does with a node in each state; one in any other is made.
_ACTIONS = {
    NodeState.RUNNING: "leave alone",
    NodeState.PAUSED: "resume",
    NodeState.OFF: "start",
    NodeState.CRASHED: "start",
}
# What a changed spec has done to a node or a network, whatever it does now.
_MOST_FILES = 4  # more of a node are counted, not listed
_FOLLOWED = (Cost.REBOOT, Cost.REBUILD, Cost.REFUSED)


def changes_of(context: Context, lab: Lab, *, all_as: NodeKind | None = None) -> Changes:
    """Return what changed in the spec of a lab that exists; nothing for one that does not."""
    paths = context.host.lab(lab.name)
    lab_record = read_own(paths)
    if lab_record is None:
        return Changes()
    spec_files.refuse_other(paths, lab.source)
    lab = kinds.as_on_host(context, kinds.chosen(lab, lab_record, all_as))
    made = last_resolved(paths)
    whys_no_plug = nics.whys_no_plug(context, made, lab, lab_record)
    return compare(made, lab, lab_record, whys_no_plug=whys_no_plug)


def losses(context: Context, lab: Lab, changes: Changes) -> tuple[str, ...]:
    """Return which VMs of the lab's cloud are lost by these changes, if it can be asked.

    The cloud is asked, within a time limit, and nothing is changed.
    """
    paths = context.host.lab(lab.name)
    lab_record, made = read_own(paths), last_resolved(paths)
    if lab_record is None or made is None:
        return ()
    interrupted = changes.names(Subject.NODE, Cost.REBUILD, Cost.REMOVE)
    if made.controller.name in interrupted:
        return ()  # the whole cloud goes
    computes = [node.name for node in compute_nodes(made) if node.name in interrupted]
    leaving = installers.leaving_computes(made, lab)
    gone = [name for name in computes if name in leaving]
    anew = [name for name in computes if name not in leaving]
    return departed.losses(context, made, paths, lab_record, gone=gone, anew=anew)


def plan(context: Context, lab: Lab) -> tuple[Row, ...]:
    """Return rows of (what, what happens to it, why), in the order of lab.up."""
    return steps(context, lab, changes_of(context, lab))


def steps(context: Context, lab: Lab, changes: Changes) -> tuple[Row, ...]:
    """Return the same, where it is known what changed in the spec."""
    lab_record = registry.read(context.host.lab(lab.name))
    if lab_record is not None:
        lab = kinds.chosen(lab, lab_record, None)
    return (
        *_origin_rows(context, lab, lab_record),
        *_image_rows(context, lab, None if changes.needs_other_image else lab_record),
        *_memory_rows(context, lab, lab_record),
        *_service_rows(context, lab_record),
        *_network_rows(lab, lab_record, changes),
        *_node_rows(context, lab, lab_record, changes),
        *_answer_rows(lab),
    )


def _origin_rows(context: Context, lab: Lab, lab_record: LabRecord | None) -> tuple[Row, ...]:
    """Return whether the lab would come from its pristine snapshot, if it has one."""
    paths = context.host.lab(lab.name)
    image = base_image.built_key(context, lab)
    if lab_record is not None or image is None or not paths.pristine().manifest.exists():
        return ()
    if context.provider(of_new=lab).why_unreachable() is not None:
        return ()
    why_cold = pristine.why_cold_start(context, kinds.as_on_host(context, lab), paths, image=image)
    if why_cold:
        return (("lab", "boot anew", why_cold),)
    return (("lab", "restore", "from its pristine snapshot; what follows is for lab.up --cold"),)


def _image_rows(context: Context, lab: Lab, lab_record: LabRecord | None) -> tuple[Row, ...]:
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


def _memory_rows(context: Context, lab: Lab, lab_record: LabRecord | None) -> tuple[Row, ...]:
    """Return whether the nodes that are to start fit into this host's memory, where they don't."""
    states = context.states(lab_record) if lab_record else {}
    starting = [node.name for node in lab.nodes if states.get(node.name) is not NodeState.RUNNING]
    others = context.other_labs(lab.name)
    probe = doctor.probe_memory(lab, context.host, context.machine, others, starting=starting)
    if probe.is_failed:
        return (("memory", "refuse", probe.sentence),)
    if probe.status is doctor.ProbeStatus.WARNING:
        return (("memory", "warn", probe.sentence),)
    return ()


def _service_rows(context: Context, lab_record: LabRecord | None) -> tuple[Row, ...]:
    """Return which service of this host does not answer: `lab.up` starts it first."""
    unreachable = context.provider(lab_record).why_unreachable() if lab_record else None
    if unreachable is None:
        return ()
    return ((unreachable.service, "start", f"{unreachable.why} ({unreachable.hint})"),)


def _network_rows(lab: Lab, lab_record: LabRecord | None, changes: Changes) -> tuple[Row, ...]:
    rebuilt = changes.names(Subject.NETWORK, *_FOLLOWED)
    existing = {network.name for network in lab_record.networks} if lab_record else set()
    rows: list[Row] = []
    for network in lab.networks:
        action = "make" if network.is_made_by_us else "join"
        if network.name in existing:
            action = "rebuild" if network.name in rebuilt else "keep"
        about = f"{network.cidr} {network.mode}, bridge {network.bridge}"
        rows.append((f"network {network.name}", action, about))
    for name in changes.names(Subject.NETWORK, Cost.REMOVE):
        rows.append((f"network {name}", "remove", "not in the spec"))
    return tuple(rows)


def _node_rows(
    context: Context, lab: Lab, lab_record: LabRecord | None, changes: Changes
) -> tuple[Row, ...]:
    followed: dict[str, str] = {}
    for cost in _FOLLOWED:
        followed |= dict.fromkeys(changes.names(Subject.NODE, cost), str(cost))
    getting_nics = changes.nodes_with_more_nics
    all_states = context.states(lab_record) if lab_record else {}
    states = _states_of_made(lab_record, all_states) if lab_record else {}
    on_record = {node.name for node in lab_record.nodes} if lab_record else set()
    unknown = on_record - set(all_states)
    rows: list[Row] = []
    for node in lab.nodes:
        state = states.get(node.name, NodeState.ABSENT)
        action = followed.get(node.name) or _ACTIONS.get(state, "make")
        if node.name in unknown:
            action = "not known"
        if state is NodeState.RUNNING and node.name in getting_nics:
            action = "plug NICs in"
        kind = "container, " if node.kind is NodeKind.CONTAINER else ""
        about = f"{kind}{node.cpus} cpu, {node.memory}, {_addresses(node)}"
        rows.append((f"node {node.name}", action, about))
    for name in changes.names(Subject.NODE, Cost.REMOVE):
        rows.append((f"node {name}", "remove", "not in the spec; lab.up needs --remove for it"))
    return tuple(rows)


def _addresses(node: Node) -> str:
    return ", ".join(str(nic.address.ip) for nic in node.nics)


def _states_of_made(
    lab_record: LabRecord, all_states: Mapping[str, NodeState]
) -> dict[str, NodeState]:
    """Return what nodes do, but for those half made: they are made again, whatever they do."""
    states: dict[str, NodeState] = {}
    for node in lab_record.nodes:
        if node.is_created and node.name in all_states:
            states[node.name] = all_states[node.name]
    return states


def _answer_rows(lab: Lab) -> tuple[Row, ...]:
    rows: list[Row] = []
    for node, files in answers.preview(lab).items():
        if files:
            rows.append((f"answers {node}", "write", _describe_files(lab.name, tuple(files))))
    return tuple(rows)


def _describe_files(name: str, files: Sequence[PurePosixPath]) -> str:
    if len(files) <= _MOST_FILES:
        return ", ".join(map(str, files))
    return f"{len(files)} files, among them {files[0]}: ./invoke answers.render {name}"
