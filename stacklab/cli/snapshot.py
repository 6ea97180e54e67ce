"""`lab.snapshot` and its companions: keep a lab as it is, and have it back in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from stacklab.cli.glue import AsJson, Completes, LabName, NameOfLabThatIsUp, Words, task
from stacklab.cli.session import session, show, show_json
from stacklab.errors import LabError

SnapshotName = Annotated[str, "the snapshot's name", Completes.SNAPSHOT]


@task("lab.snapshot")
def snapshot(
    _c: Any,
    lab: NameOfLabThatIsUp,
    name: Annotated[str, "what to call it: lower case letters, digits and -"],
) -> None:
    """Keep all nodes as they are: VMs with their memory, containers by their disks."""
    from stacklab.views import snapshots as views
    from stacklab.workflow.snapshots import saving

    with session(f"lab.snapshot {lab}") as context:
        manifest = saving.save(context, lab, name)
    print(views.saved(manifest))


@task("lab.restore")
def restore(
    _c: Any,
    lab: LabName,
    rest: Annotated[Words, "the snapshot's name", Completes.SNAPSHOT] = None,
    stage: Annotated[str, "the end of this stage, in place of a name: nodes, or a stage's"] = "",
) -> None:
    """Bring a lab back to a snapshot's instant, whatever was done to it since."""
    from stacklab.workflow.snapshots import checkpoints, restoring

    with session(f"lab.restore {lab}") as context:
        snapshot = _chosen(lab, rest or (), stage) or checkpoints.of_stage(
            context.host.lab(lab), stage
        )
        restoring.restore(context, lab, snapshot)
    print(f"lab {lab} is as it was in snapshot {snapshot}")


def _chosen(lab: str, words: Sequence[str], stage: str) -> str:
    """Return the name that was typed, "" where a stage was; raises LabError for neither or both."""
    if len(words) + bool(stage) == 1:
        return words[0] if words else ""
    raise LabError(
        "name one snapshot, or one stage",
        hint=f"./invoke lab.snapshots {lab} shows which there are, then "
        f"./invoke lab.restore {lab} NAME, or ./invoke lab.restore {lab} --stage nodes",
    )


@task("lab.snapshots")
def snapshots(_c: Any, lab: LabName, json: AsJson = False) -> None:
    """Show a lab's snapshots."""
    from stacklab.views import snapshots as views
    from stacklab.workflow.snapshots import listing

    with session() as context:
        manifests = listing.listed(context, lab)
    if json:
        show_json(views.as_dicts(manifests))
    else:
        show(views.snapshots_table(manifests))


@task("lab.snapshot-delete")
def delete(_c: Any, lab: LabName, snapshot: SnapshotName) -> None:
    """Delete a snapshot; what others need of it stays."""
    from stacklab.workflow.snapshots import listing

    with session() as context:
        listing.delete(context, lab, snapshot)
    print(f"snapshot {snapshot} of lab {lab} is gone")
