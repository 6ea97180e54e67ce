"""`lab.snapshot` and its companions: keep a lab as it is, and have it back in seconds."""

from __future__ import annotations

from typing import Annotated, Any

from stacklab.cli.glue import AsJson, Completes, LabName, NameOfLabThatIsUp, task
from stacklab.cli.session import session, show, show_json

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
def restore(_c: Any, lab: LabName, snapshot: SnapshotName) -> None:
    """Bring a lab back to a snapshot's instant, whatever was done to it since."""
    from stacklab.workflow.snapshots import restoring

    with session(f"lab.restore {lab}") as context:
        restoring.restore(context, lab, snapshot)
    print(f"lab {lab} is as it was in snapshot {snapshot}")


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
