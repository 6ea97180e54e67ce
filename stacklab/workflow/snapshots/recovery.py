"""Finish, or undo, what a killed command was doing to a lab's snapshots."""

from __future__ import annotations

from stacklab.errors import LabError
from stacklab.paths import LabPaths
from stacklab.workflow.context import Context, last_resolved, not_up, read_own
from stacklab.workflow.snapshots import intent, listing, restoring, saving
from stacklab.workflow.snapshots.intent import Doing


def finish(context: Context, paths: LabPaths) -> None:
    """Do it, and say what was done; the caller holds the lab's lock."""
    wanted = intent.read(paths)
    if wanted is None:
        return
    if wanted.doing is Doing.DELETE:
        context.progress.note(
            "host", f"finishing lab.snapshot-delete {paths.name} {wanted.snapshot}"
        )
        listing.delete_held(context, paths.snapshot(wanted.snapshot))
        return
    record = read_own(paths)
    if wanted.doing is Doing.RESTORE:
        context.progress.note("host", f"finishing lab.restore {paths.name} {wanted.snapshot}")
        try:
            restoring.restore_held(context, paths, record, wanted)
        except LabError as error:
            raise LabError(
                f"lab.restore {paths.name} {wanted.snapshot} was cut short, and can't be finished: "
                f"{error.message}",
                hint=f"./invoke lab.restore {paths.name} with another snapshot, "
                f"or ./invoke lab.destroy {paths.name}",
            ) from error
        return
    lab = last_resolved(paths)
    if record is None or lab is None:
        raise not_up(context, paths.name)
    context.progress.note("host", saving.go_on(context, lab, paths, record, wanted))
