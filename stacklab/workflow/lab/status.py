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


def status(context: Context, name: str | None = None) -> tuple[LabStatus, ...]:
    """Return every lab on record, or the one of that name; starts nothing but the provider.

    Of all labs, one whose files are damaged hides none of the others.
    """
    if name:
        paths = context.host.lab(name)
        its_record = registry.read(paths)
        if its_record is None:
            raise not_up(context, name)
        return (_status(context, paths, its_record, last_resolved(paths)),)
    statuses = (_any_status(context, each) for each in record.names(context.host))
    return tuple(status for status in statuses if status is not None)


def _any_status(context: Context, name: str) -> LabStatus | None:
    """Return a lab's status, however damaged it is; None if it is gone."""
    paths = context.host.lab(name)
    try:
        its_record, lab = registry.read(paths), last_resolved(paths)
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
    return _status(context, paths, its_record, lab) if its_record else None


def _status(context: Context, paths: LabPaths, its_record: LabRecord, lab: Lab | None) -> LabStatus:
    return LabStatus(
        name=paths.name,
        checkout=str(its_record.checkout),
        image=its_record.image,
        states=context.provider(its_record).status(its_record),
        lab=lab,
        directory=str(paths.root),
        expires_at=its_record.expires_at,
    )


def as_dict(found: LabStatus) -> Mapping[str, object]:
    """Return a lab's status, ready for JSON."""
    return {
        "name": found.name,
        "checkout": found.checkout,
        "directory": found.directory,
        "image": found.image,
        "expires_at": found.expires_at,
        "trouble": found.trouble,
        "nodes": [
            {
                "name": node,
                "state": str(state),
                "addresses": {nic.network: str(nic.address.ip) for nic in found.lab.node(node).nics}
                if found.lab
                else {},
            }
            for node, state in found.states.items()
        ],
    }
