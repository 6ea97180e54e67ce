"""What a lab's nodes are: VMs or containers, by the spec, by `--as`, and by the lab's record."""

from __future__ import annotations

import dataclasses

from stacklab.doctor.containers import kernel
from stacklab.doctor.containers.kernel import Presence
from stacklab.doctor.machine import Machine
from stacklab.errors import LabError
from stacklab.model.lab import Lab, NodeKind
from stacklab.providers import registry
from stacklab.record import LabRecord
from stacklab.workflow.context import Context
from stacklab.workflow.mirror import serving

_WORDS = {
    "vm": NodeKind.VM,
    "vms": NodeKind.VM,
    "container": NodeKind.CONTAINER,
    "containers": NodeKind.CONTAINER,
}


def read_kind(word: str | None) -> NodeKind | None:
    """Return the kind that `--as` names; None if it was not typed. Raises LabError."""
    if word is None:
        return None
    if word not in _WORDS:
        raise LabError(f"--as {word!a}: nodes are vms or containers", hint="--as containers")
    return _WORDS[word]


def refuse_other(
    lab: Lab, lab_record: LabRecord, made: Lab | None, wanted: NodeKind | None
) -> None:
    """Raise LabError where `--as` wants of a lab that exists what its nodes are not.

    `made` is the lab as it was brought up; None where that was cut short before it was known.
    """
    if wanted is None:
        return
    is_same = lab_record.all_as == wanted
    if made is not None:
        is_same = len(made.of_kind(wanted)) == len(made.nodes)
    if not is_same:
        raise LabError(
            f"lab {lab.name} exists, and not all of its nodes are {wanted}s",
            hint=f"./invoke lab.rebuild {lab.name} --as {wanted}s",
        )


def chosen(lab: Lab, lab_record: LabRecord | None, wanted: NodeKind | None) -> Lab:
    """Return the lab with its nodes as `wanted`, or as they were brought up, or as in its spec."""
    kind = wanted
    if kind is None and lab_record is not None and lab_record.all_as:
        kind = NodeKind(lab_record.all_as)
    return lab if kind is None else lab.all_as(kind)


def as_on_host(context: Context, lab: Lab) -> Lab:
    """Return the lab with all that this host adds: a mirror of git, and what its kernel lacks."""
    return fitted(serving.with_mirror(lab, context.host), context.machine)


def fitted(lab: Lab, machine: Machine) -> Lab:
    """Return the lab with what its containers lack of this host's kernel, for its answer files."""
    if not lab.of_kind(NodeKind.CONTAINER):
        return lab
    # A module that is not loaded may be loaded by then: the preflight says how.
    lacks_openvswitch = kernel.presence(machine, kernel.OPENVSWITCH) is Presence.ABSENT
    stack = dataclasses.replace(lab.stack, lacks_openvswitch=lacks_openvswitch)
    return dataclasses.replace(lab, stack=stack)


def on_this_host(context: Context, lab: Lab) -> Lab:
    """Return the lab of a spec as it is, or would be, brought up on this host."""
    lab_record = registry.read(context.host.lab(lab.name))
    return as_on_host(context, chosen(lab, lab_record, None))
