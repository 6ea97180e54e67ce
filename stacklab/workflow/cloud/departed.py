"""Have a lab's cloud forget compute nodes that are gone, and say which VMs are lost with a node.

A node that leaves the lab is written into its record (`departed`) by the write that takes it out of
the nodes, and taken out of that list once the cloud has forgotten it. So whatever ends a `lab.up`,
the next one goes on; and a cloud that can't be reached is a warning, never a failed removal.

The work is done by a program of the lab's kit on the controller: one session for each node, within
a time limit. A cloud that has forgotten a node already is not harmed by being asked again.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from stacklab import installers, record
from stacklab.errors import LabError
from stacklab.foreign import printable
from stacklab.model.cloud import ComputesProgram
from stacklab.model.lab import Lab
from stacklab.model.state import NodeState
from stacklab.nodes import programs
from stacklab.nodes.protocol import Said
from stacklab.paths import LabPaths
from stacklab.paths.names import is_lab_name
from stacklab.record import LabRecord
from stacklab.stages.journal import Journal
from stacklab.words import plural
from stacklab.workflow.context import Context, last_resolved, not_up, read_own

_ROW = "cloud"  # of the progress
_TAG = "cloud.computes"
_NAMES_MAX = 10  # of VMs in one note
# Seconds in which the cloud has to begin to answer:
RUNNING_S = 5.0  # one that has been running
BOOTED_S = 60.0  # one whose controller may have booted just now


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the program on the controller wrote; all of it was made printable."""

    vms: tuple[tuple[str, str], ...] = ()  # node, name of a VM
    done: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    def vms_of(self, node: str) -> tuple[str, ...]:
        """Return the names of a node's VMs."""
        return tuple(name for place, name in self.vms if place == node)


def has_cloud(lab: Lab, paths: LabPaths) -> bool:
    """Return True if a cloud was installed, or begun, that can be asked for its computes."""
    return installers.computes_program(lab) is not None and bool(
        Journal(paths.journal).read().states
    )


# --- before: what is lost


def losses(
    context: Context,
    lab: Lab,
    paths: LabPaths,
    lab_record: LabRecord,
    *,
    gone: Sequence[str],
    anew: Sequence[str],
) -> tuple[str, ...]:
    """Return a sentence about the VMs of each of these computes, if the lab has a cloud.

    `lab` is the lab as it was made, `gone` are computes that leave it, `anew` those that are made
    again. The cloud is only asked where its controller runs; that changes nothing.
    """
    program = installers.computes_program(lab)
    names = (*gone, *anew)
    if program is None or not names or not has_cloud(lab, paths):
        return ()
    told = _Asker(context, lab, paths, lab_record, program).vms(names)
    if told.left:
        listed = ", ".join(names)
        return (f"VMs on {listed} are lost; which there are can't be told: {told.left[0]}",)
    notes = []
    for name in names:
        fate = "deleted from the cloud" if name in gone else "listed until you delete them"
        notes.append(_loss(lab.name, name, told.vms_of(name), fate))
    return tuple(notes)


def _loss(lab: str, node: str, vms: Sequence[str], fate: str) -> str:
    if not vms:
        return f"no VM is on {node}"
    listed = ", ".join(vms[:_NAMES_MAX]) + (", ..." if len(vms) > _NAMES_MAX else "")
    first = shlex.quote(vms[0])
    return (
        f"{plural(len(vms), 'VM')} on {node} will be lost, and {fate}: {listed}; to keep one, move "
        f"it before: ./invoke lab.cloud {lab} -- server migrate --live-migration {first}"
    )


# --- after: the cloud forgets it


def forget(
    context: Context,
    lab: Lab,
    paths: LabPaths,
    lab_record: LabRecord,
    *,
    patience_s: float,
    is_last: bool,
) -> LabRecord:
    """Have the cloud forget the nodes that departed; returns the record as it is then.

    What can't be done stays on record, and is warned of if `is_last`: nobody tries again in this
    run. A node that has come back by now is not forgotten.
    """
    program = installers.computes_program(lab)
    for node in lab_record.departed:
        recorded = lab_record.node(node)
        is_back = recorded is not None and recorded.is_created
        if program is not None and not is_back:
            with context.progress.stage(_ROW, f"forget {node}"):
                asker = _Asker(context, lab, paths, lab_record, program)
                told = asker.forget(node, patience_s)
            if told.done:
                context.progress.note(_ROW, f"removed {', '.join(told.done)}")
            if told.left:
                _say_left(context, lab, node, told, is_last=is_last)
                continue
        lab_record = _without(paths, lab_record, node)
    return lab_record


def forget_named(context: Context, name: str, node: str) -> tuple[str, ...]:
    """Have the cloud of a lab that is up forget a node of this name; returns what was removed.

    Raises LabError for a node that the lab has, and for what the cloud does not let go.
    """
    with context.lab_lock(name) as paths:
        lab, lab_record = last_resolved(paths), read_own(paths)
        if lab is None or lab_record is None:
            raise not_up(context, name)
        program = installers.computes_program(lab)
        if program is None:
            raise LabError(
                f"how the cloud of {name} forgets a node is not known "
                f"(stack.installer: {lab.stack.installer})",
                hint="by its own client: openstack compute service list, then ... delete ID",
            )
        _refuse_kept(lab, lab_record, node)
        with context.progress.stage(_ROW, f"forget {node}"):
            asker = _Asker(context, lab, paths, lab_record, program)
            told = asker.forget(node, BOOTED_S)
        if told.left:
            raise LabError(
                "\n".join([f"the cloud of {name} still lists {node}:", *told.left]),
                hint=f"./invoke lab.check {name} --layer services; then the same again",
            )
        _without(paths, lab_record, node)
        return told.done


def _refuse_kept(lab: Lab, lab_record: LabRecord, node: str) -> None:
    if not is_lab_name(node):
        raise LabError(f"{node!r} can't be a node's name", hint="lower-case letters, digits and -")
    if lab_record.node(node) is not None:
        raise LabError(
            f"{node} is a node of lab {lab.name}: its cloud would list it again",
            hint=f"leave it out of the spec, then ./invoke lab.up {lab.name} --remove",
        )


def _without(paths: LabPaths, lab_record: LabRecord, node: str) -> LabRecord:
    departed = tuple(name for name in lab_record.departed if name != node)
    if departed == lab_record.departed:
        return lab_record
    changed = dataclasses.replace(lab_record, departed=departed)
    record.write(paths, changed)
    return changed


def _say_left(context: Context, lab: Lab, node: str, told: Told, *, is_last: bool) -> None:
    if is_last:
        words = (
            f"WARNING: the cloud still lists {node}: {'; '.join(told.left)}. "
            f"Once that is mended: ./invoke cloud.forget {lab.name} {node}"
        )
    else:
        words = f"{node} is tried again later: {told.left[0]}"
    context.progress.note(_ROW, words)


# --- the program on the controller


@dataclass(frozen=True, slots=True)
class _Asker:
    """Runs the program of a lab's kit on the lab's controller."""

    context: Context
    lab: Lab
    paths: LabPaths
    lab_record: LabRecord
    program: ComputesProgram

    def vms(self, nodes: Sequence[str]) -> Told:
        """Have it list the VMs on these nodes."""
        return self._run("vms", nodes, self.program.look_limit_s)

    def forget(self, node: str, patience_s: float) -> Told:
        """Have it forget a node; `patience_s` is how long it waits for a cloud that starts."""
        return self._run("forget", [node], self.program.forget_limit_s, patience_s)

    def _run(
        self, order: str, nodes: Sequence[str], limit_s: float, patience_s: float = 0.0
    ) -> Told:
        """Run it; whatever keeps it from its work is in `left`."""
        controller = self.lab.controller.name
        state = self.context.states(self.lab_record).get(controller, NodeState.ABSENT)
        if state is not NodeState.RUNNING:
            return Told(left=(f"{controller} is {state}",))
        whole_s = limit_s + patience_s
        argv = [*self.program.argv, "--patience", f"{patience_s:g}", order, *nodes]
        ended = programs.run(
            self.context.runner,
            self.paths,
            controller,
            argv,
            self.program.stdin,
            tag=_TAG,
            limit_s=whole_s,
        )
        told = _read(ended.said)
        if not ended.why or told.left:
            return told
        return dataclasses.replace(told, left=(f"asking {controller} failed: {ended.why}",))


def _read(said: Said) -> Told:
    """Read the program's lines; others, as of a Python that complains, are passed over."""
    vms: list[tuple[str, str]] = []
    done: list[str] = []
    left: list[str] = []
    for fields in programs.read_json(said.lines):
        words = {key: printable(str(value)) for key, value in fields.items()}
        if "vm" in words and "node" in words:
            vms.append((words["node"], words["vm"]))
        if "done" in words:
            done.append(words["done"])
        if "left" in words:
            left.append(words["left"])
    return Told(vms=tuple(vms), done=tuple(done), left=tuple(left))
