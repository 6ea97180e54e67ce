"""`lab.status`: the labs on record on this host, and what their nodes do.

Imports neither `lab.up` nor the checks: this is the task that people type most often.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stacklab import record
from stacklab.errors import LabError
from stacklab.model.lab import Lab
from stacklab.model.state import NodeState
from stacklab.paths import LabPaths
from stacklab.providers import registry
from stacklab.record import LabRecord
from stacklab.stages.journal import NO_HISTORY, History, Journal
from stacklab.workflow.context import Context, last_resolved, not_up


@dataclass(frozen=True, slots=True, kw_only=True)
class LabStatus:
    """A lab as it is on this host now; `lab` is None while it was never resolved."""

    name: str
    checkout: str
    image: str
    states: Mapping[str, NodeState]
    lab: Lab | None
    directory: str
    expires_at: float | None = None  # None: never
    trouble: str = ""  # why no more is known of it: its files are damaged
    stack: History = NO_HISTORY  # how far its installer is


def status(context: Context, name: str | None = None) -> tuple[LabStatus, ...]:
    """Return every lab on record, or the one of that name; starts nothing.

    Of all labs, one whose files are damaged hides none of the others.
    """
    if name:
        paths = context.host.lab(name)
        lab_record = registry.read(paths)
        if lab_record is None:
            raise not_up(context, name)
        return (_status_of_record(context, paths, lab_record, last_resolved(paths)),)
    statuses: list[LabStatus] = []
    for recorded in record.names(context.host):
        lab_status = _status_of_any(context, recorded)
        if lab_status is not None:
            statuses.append(lab_status)
    return tuple(statuses)


def _status_of_any(context: Context, name: str) -> LabStatus | None:
    """Return a lab's status, however damaged it is; None if it is gone."""
    paths = context.host.lab(name)
    try:
        lab_record = registry.read(paths)
        lab = last_resolved(paths)
    except LabError as error:
        return LabStatus(
            name=name,
            checkout="",
            image="",
            states={},
            lab=None,
            directory=str(paths.root),
            trouble=error.message,
        )
    return _status_of_record(context, paths, lab_record, lab) if lab_record else None


def _status_of_record(
    context: Context, paths: LabPaths, lab_record: LabRecord, lab: Lab | None
) -> LabStatus:
    return LabStatus(
        name=paths.name,
        checkout=str(lab_record.checkout),
        image=lab_record.image,
        states=context.provider(lab_record).status(lab_record),
        lab=lab,
        directory=str(paths.root),
        expires_at=lab_record.expires_at,
        stack=Journal(paths.journal).read(),
    )


def as_dict(lab_status: LabStatus) -> Mapping[str, object]:
    """Return a lab's status, ready for JSON."""
    return {
        "name": lab_status.name,
        "checkout": lab_status.checkout,
        "directory": lab_status.directory,
        "image": lab_status.image,
        "expires_at": lab_status.expires_at,
        "trouble": lab_status.trouble,
        "nodes": [
            {
                "name": node,
                "kind": _kind(lab_status.lab, node),
                "state": str(state),
                "addresses": _addresses(lab_status.lab, node),
            }
            for node, state in lab_status.states.items()
        ],
        "stages": [_stage(lab_status.stack, name) for name in lab_status.stack.stages],
    }


def _stage(history: History, name: str) -> Mapping[str, object]:
    """Return how far a stage is; its state is the word that a table shows, too."""
    state = history.state(name)
    if state is None:
        return {"name": name, "state": "not yet"}
    step = state.last_step
    return {
        "name": name,
        "state": state.word,
        "began_at": state.began_at,
        "ended_at": state.ended_at or None,
        "elapsed_s": state.elapsed_s,
        "node": step.node if step else "",
        "step": step.title if step else "",
        "why": state.why,
    }


def _kind(lab: Lab | None, node: str) -> str:
    """Return what a node is, vm or container; "" where the lab was never resolved."""
    return "" if lab is None else str(lab.node(node).kind)


def _addresses(lab: Lab | None, node: str) -> Mapping[str, str]:
    """Return a node's addresses by network; none where the lab was never resolved."""
    if lab is None:
        return {}
    # Without prefix lengths: people and scripts connect to it.
    return {nic.network: str(nic.address.ip) for nic in lab.node(node).nics}
