"""Set a lab right whose nodes go on from a snapshot, or boot from one."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

from stacklab import record as records
from stacklab.model.lab import Lab, Node
from stacklab.model.snapshot import SnapshotKind
from stacklab.paths import LabPaths
from stacklab.record import LabRecord
from stacklab.workflow.context import Context
from stacklab.workflow.faults import standing
from stacklab.workflow.nodes import clocks, leases
from stacklab.workflow.nodes.impair import impair
from stacklab.workflow.nodes.wait import Waiter


def settle(
    context: Context,
    lab: Lab,
    paths: LabPaths,
    record: LabRecord,
    kind: SnapshotKind,
    *,
    instant: float | None = None,
    is_restored: bool = False,
    has_new_networks: bool = False,
) -> None:
    """Do what the nodes' new start has made necessary; the caller holds the lab's lock.

    `instant` is the Unix time at which nodes that go on stood still, if it is known. Raises
    NodeNotReady for nodes that booted, or were restored, and do not answer.
    """
    behind_s = time.time() - instant if instant is not None else 0.0
    if kind is SnapshotKind.DISKS:
        _wait(context, lab, paths, record, title="boot").finish()
        # While all of them can be reached: their kernel has forgotten netem. Their clock is the
        # host's.
        impair(context, lab, paths)
        standing.part_again(context, lab, paths, record)
        standing.cut_again(context, lab, paths, record)
    else:
        standing.part_again(context, lab, paths, record)
        waiter = _wait(context, lab, paths, record, title="answer") if is_restored else None
        late = _set_clocks(context, paths, lab.nodes, behind_s)
        if waiter is not None:
            waiter.finish()
        if late:
            _set_clocks(context, paths, late, behind_s)
        if has_new_networks:
            leases.renew(context.runner, paths, lab.nodes)
    # By its uptime, a node that stood still seems to have booted later than it did.
    records.write(paths, dataclasses.replace(record, answered_at=time.time()))


def _set_clocks(
    context: Context, paths: LabPaths, nodes: Sequence[Node], behind_s: float
) -> Sequence[Node]:
    """Set the nodes' clocks; returns those that did not answer."""
    with context.progress.stage("host", "clocks"):
        return clocks.set_clocks(context.runner, paths, nodes, behind_s=behind_s)


def _wait(context: Context, lab: Lab, paths: LabPaths, record: LabRecord, *, title: str) -> Waiter:
    """Start to wait until all nodes answer."""
    provider = context.provider(record)
    waiter = Waiter(lab, paths, record, provider, context.progress, title=title)
    waiter.start(lab.nodes)
    return waiter
