"""Checkpoints: snapshots at the ends of stages, where the lab's spec asks for them."""

from __future__ import annotations

from stacklab.errors import LabError
from stacklab.model.lab import Checkpoint, Lab
from stacklab.paths import LabPaths
from stacklab.paths.names import STAGE_PREFIX
from stacklab.record import LabRecord
from stacklab.stages.attempt import StageResult
from stacklab.stages.engine import AfterStage
from stacklab.words import suggest
from stacklab.workflow.context import Context
from stacklab.workflow.snapshots import saving

NODES = "nodes"  # what comes before the first stage of an installer


def name_of(stage: str) -> str:
    """Return the name of the snapshot at the end of a stage: stage-run-compute1."""
    return STAGE_PREFIX + stage.replace("@", "-")


def after_nodes(context: Context, lab: Lab, record: LabRecord) -> None:
    """Make the snapshot of nodes that have just been made, if the lab wants one."""
    if lab.has_checkpoint(Checkpoint.NODES):
        _take(context, lab, record, NODES)


def after_stage(context: Context, lab: Lab, record: LabRecord) -> AfterStage:
    """Return what is called after each stage that was run: it makes a snapshot if one is wanted.

    Stages of other nodes may be at work meanwhile. They stand still with their nodes, and go on.
    """

    def take(result: StageResult) -> None:
        if lab.has_checkpoint(Checkpoint.STAGES):
            _take(context, lab, record, result.stage.name)

    return take


def _take(context: Context, lab: Lab, record: LabRecord, stage: str) -> None:
    """Make a snapshot in the place of an earlier one of that stage; a failure is said."""
    place = context.host.lab(lab.name).snapshot(name_of(stage))
    try:
        saving.replace_held(context, lab, record, place)
    except LabError as error:
        context.progress.note("host", f"no snapshot after {stage}: {error.message}")


def of_stage(paths: LabPaths, stage: str) -> str:
    """Return the name of a stage's snapshot; raises LabError naming those that there are."""
    name = name_of(stage)
    if paths.snapshot(name).manifest.exists():
        return name
    known = [
        other.removeprefix(STAGE_PREFIX)
        for other in paths.snapshot_names()
        if other.startswith(STAGE_PREFIX)
    ]
    has = suggest(stage, known, label="there are") if known else "there are none"
    raise LabError(
        f"lab {paths.name} does not have a snapshot of the end of stage {stage!a} ({has})",
        hint=f"write `checkpoints: [nodes, stages]` into labs/{paths.name}.yaml to have them made",
    )
