"""Compare a lab as it was last brought up with its spec of today. Pure.

What the record says goes before what resolved.json says: a node that is on record and not in the
spec is to be removed, one that is in the spec and not on record is to be made, and one whose
making was cut short is made anew anyway.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from stacklab import installers
from stacklab.images.store import image_name
from stacklab.model.lab import Lab, Node
from stacklab.model.stack import NO_INSTALLER, Role
from stacklab.providers import registry
from stacklab.record import LabRecord, NodeRecord
from stacklab.workflow.lab.changes import fields
from stacklab.workflow.lab.changes.change import NO_CHANGES, Change, Changes, Cost, Subject

# A lab's fields that are compared one by one below, and those that only say what it is.
_KNOWN = (
    "images",
    "networks",
    "nodes",
    "stack",
    "checks",
    "checkpoints",
    "name",
    "description",
    "source",
)
_NO_REASONS: Mapping[str, str] = {}


def compare(
    made: Lab | None,
    lab: Lab,
    lab_record: LabRecord | None,
    *,
    whys_no_plug: Mapping[str, str] = _NO_REASONS,
) -> Changes:
    """Return what `lab.up` has to do to a lab that exists, so that it is as its spec says.

    `made` is the lab as it was brought up; None where that was cut short before it was known.
    `whys_no_plug` has the nodes into which no NIC can be plugged, each with the reason.
    """
    if lab_record is None:
        return NO_CHANGES
    of_all = (*_image_changes(made, lab, lab_record), *_network_changes(made, lab, lab_record))
    lines = (
        *_provider_changes(lab, lab_record),
        *of_all,
        *_node_changes(made, lab, lab_record, of_all, whys_no_plug),
        *_live_changes(made, lab),
    )
    return Changes(lines=lines, notes=tuple(_notes(made, lab, lines)))


def _provider_changes(lab: Lab, lab_record: LabRecord) -> Iterator[Change]:
    """Yield the nodes that the lab's provider can't make."""
    if registry.provider_for(lab, lab_record.provider) == lab_record.provider:
        return
    for node in lab.nodes:
        if lab_record.node(node.name) is None:
            yield Change(
                subject=Subject.NODE,
                name=node.name,
                cost=Cost.REFUSED,
                why=f"the lab is made by the provider {lab_record.provider}, which has no "
                f"{node.kind}s; lab.rebuild chooses another",
            )


def _image_changes(made: Lab | None, lab: Lab, lab_record: LabRecord) -> Iterator[Change]:
    if made is None or made.images == lab.images:
        return
    used = image_name(lab_record.image)
    # Those in front of it are tried first; why others could not be taken is on record.
    preferred = lab.images[: lab.images.index(used)] if used in lab.images else lab.images
    is_kept = used in lab.images and set(preferred) <= set(lab_record.passed_over)
    yield Change(
        subject=Subject.IMAGE,
        before=", then ".join(made.images),
        after=", then ".join(lab.images),
        cost=Cost.LIVE if is_kept else Cost.REBUILD,
        why=f"{used} stays" if is_kept else "all nodes are made anew on it",
    )


# --- networks


def _network_changes(made: Lab | None, lab: Lab, lab_record: LabRecord) -> Iterator[Change]:
    before = {network.name: network for network in made.networks} if made else {}
    for network in lab.networks:
        known = before.get(network.name)
        if known is not None:
            yield from fields.network_changes(known, network)
        elif made is not None:
            about = f"{network.cidr} {network.mode}"
            yield Change(subject=Subject.NETWORK, name=network.name, what=about, cost=Cost.NEW)
    # Where nobody knows what was made, one that is the host's today is not ours any more.
    known_networks = lab.networks
    if made is None:
        known_networks = tuple(network for network in lab.networks if network.is_made_by_us)
    kept = {network.name for network in known_networks}
    for recorded in lab_record.networks:
        if recorded.name not in kept:
            yield Change(subject=Subject.NETWORK, name=recorded.name, cost=Cost.REMOVE)


# --- nodes


def _node_changes(
    made: Lab | None,
    lab: Lab,
    lab_record: LabRecord,
    of_all: Sequence[Change],
    whys_no_plug: Mapping[str, str],
) -> Iterator[Change]:
    """Yield what changed in nodes, by themselves and by `of_all`: networks and the image."""
    before = {node.name: node for node in made.nodes} if made else {}
    for node in lab.nodes:
        recorded = lab_record.node(node.name)
        if recorded is None:
            yield Change(subject=Subject.NODE, name=node.name, what=_about(node), cost=Cost.NEW)
        elif made is not None and recorded.is_created and node.name in before:
            why_no_plug = whys_no_plug.get(node.name, "")
            own = tuple(fields.node_changes(before[node.name], node, why_no_plug=why_no_plug))
            yield from own
            if all(change.cost.rank < Cost.REBUILD.rank for change in own):
                yield from _rebuild_by(before[node.name], node, made, lab, of_all)
    kept = {node.name for node in lab.nodes}
    for recorded in lab_record.nodes:
        if recorded.name not in kept:
            yield _removal(recorded)


def _removal(recorded: NodeRecord) -> Change:
    if recorded.is_created:
        return Change(subject=Subject.NODE, name=recorded.name, cost=Cost.REMOVE)
    # Its removal was agreed to and cut short, or its making was: nothing in it is worth keeping.
    why = "what a killed command has left of it is removed"
    return Change(subject=Subject.NODE, name=recorded.name, cost=Cost.LIVE, why=why)


def _rebuild_by(
    before: Node, node: Node, made: Lab, lab: Lab, of_all: Sequence[Change]
) -> Iterator[Change]:
    """Yield a rebuild if anything that a node stands on is made anew."""
    rebuilt = [change for change in of_all if change.cost is Cost.REBUILD]
    networks = {nic.network for nic in (*before.nics, *node.nics)}
    whys: list[str] = []
    if any(change.subject is Subject.IMAGE for change in rebuilt):
        whys.append("another image")
    networks_made_anew = {change.name for change in rebuilt if change.subject is Subject.NETWORK}
    its_networks_made_anew = sorted(networks & networks_made_anew)
    whys += [f"network {name} is made anew" for name in its_networks_made_anew]
    # Fields of a lab of which nobody has said yet what they cost.
    unknown = [name for name in fields.differing(made, lab) if name not in _KNOWN]
    whys += [f"the lab's {fields.label(name)} changed" for name in unknown]
    if whys:
        why = ", ".join(whys)
        yield Change(subject=Subject.NODE, name=node.name, cost=Cost.REBUILD, why=why)


def _about(node: Node) -> str:
    addresses = ", ".join(str(nic.address.ip) for nic in node.nics)
    return f"{node.role}, {node.cpus} cpu, {node.memory}, {addresses}"


# --- what nodes do not notice, and what is left to people


def _live_changes(made: Lab | None, lab: Lab) -> Iterator[Change]:
    if made is None:
        return
    if made.stack != lab.stack:
        names = ", ".join(map(fields.label, fields.differing(made.stack, lab.stack)))
        why = "changed files are placed; what was installed stays as it is until lab.stack"
        yield Change(subject=Subject.ANSWERS, what=f"stack: {names}", cost=Cost.LIVE, why=why)
    if made.checks != lab.checks:
        names = ", ".join(map(fields.label, fields.differing(made.checks, lab.checks)))
        yield Change(subject=Subject.CHECKS, what=names, cost=Cost.LIVE)


def _notes(made: Lab | None, lab: Lab, lines: Sequence[Change]) -> Iterator[str]:
    if made is None or made.stack.installer is NO_INSTALLER:
        return
    gone = {
        change.name
        for change in lines
        if change.subject is Subject.NODE and change.cost is Cost.REMOVE
    }
    computes = [node.name for node in made.nodes if node.role is Role.COMPUTE]
    left = [name for name in computes if name in gone]
    leaving = installers.leaving_computes(made, lab) if installers.computes_program(lab) else ()
    if leaving:
        yield (
            f"if a cloud was installed, it forgets {', '.join(leaving)}: services, agents, "
            "resource providers in placement, and the VMs that are lost with them"
        )
    left = [name for name in left if name not in leaving]
    if left:
        yield (
            f"if a cloud was installed, it goes on listing {', '.join(left)}: its services, its "
            "agents, its VMs, and its resource provider in placement are not removed"
        )
