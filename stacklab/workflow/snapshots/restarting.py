"""Set a lab right whose nodes go on from a snapshot, or boot from one."""

from __future__ import annotations

import dataclasses
import time

from stacklab import record as records
from stacklab.model.lab import Lab
from stacklab.model.snapshot import SnapshotKind
from stacklab.paths import LabPaths
from stacklab.record import LabRecord
from stacklab.workflow.context import Context
from stacklab.workflow.faults import faults
from stacklab.workflow.nodes import clocks
from stacklab.workflow.nodes.impair import impair
from stacklab.workflow.nodes.wait import Waiter


def settle(
    context: Context,
    lab: Lab,
    paths: LabPaths,
    record: LabRecord,
    kind: SnapshotKind,
    *,
    is_restored: bool = False,
) -> None:
    """Do what the nodes' new start has made necessary; the caller holds the lab's lock.

    Raises NodeNotReady for nodes that booted, or were restored, and do not answer.
    """
    has_booted = kind is SnapshotKind.DISKS
    if has_booted or is_restored:
        _wait(context, lab, paths, record, title="boot" if has_booted else "answer")
    if has_booted:
        # While all of them can be reached: their kernel has forgotten netem. Their clock is the
        # host's.
        impair(context, lab, paths)
    faults.part_again(context, lab, paths, record)
    if has_booted:
        faults.cut_again(context, lab, paths, record)
    else:
        with context.progress.stage("host", "clocks"):
            clocks.set_clocks(context.runner, paths, lab.nodes)
    # By its uptime, a node that stood still seems to have booted later than it did.
    records.write(paths, dataclasses.replace(record, answered_at=time.time()))


def _wait(context: Context, lab: Lab, paths: LabPaths, record: LabRecord, *, title: str) -> None:
    provider = context.provider(record)
    waiter = Waiter(lab, paths, record, provider, context.progress, title=title)
    waiter.start(lab.nodes)
    waiter.finish()
