"""Snapshots, bundles and the cache: keep a lab as it is, and have it back in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from stacklab.cli.framework.glue import AsJson, Completes, NameOfLab, NameOfLabThatIsUp, Words, task
from stacklab.cli.framework.lab_words import lab_file
from stacklab.cli.framework.session import load, print_lines, session, show, show_json
from stacklab.errors import LabError

if TYPE_CHECKING:
    from stacklab.model.lab import Lab

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
    print_lines([views.saved(manifest)])


@task("lab.restore", resumes=True)
def restore(
    _c: Any,
    lab: NameOfLab,
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
def snapshots(_c: Any, lab: NameOfLab, json: AsJson = False) -> None:
    """Show a lab's snapshots."""
    from stacklab.views import snapshots as views
    from stacklab.workflow.snapshots import listing

    with session() as context:
        manifests = listing.listed(context, lab)
    if json:
        show_json(views.as_dicts(manifests))
    else:
        show(views.snapshots_table(manifests))


@task("lab.snapshot-delete", resumes=True)
def delete(_c: Any, lab: NameOfLab, snapshot: SnapshotName) -> None:
    """Delete a snapshot; what others need of it stays."""
    from stacklab.workflow.snapshots import listing

    with session() as context:
        listing.delete(context, lab, snapshot)
    print(f"snapshot {snapshot} of lab {lab} is gone")


@task("lab.export")
def export(
    _c: Any,
    lab: NameOfLab,
    snapshot: SnapshotName,
    out: Annotated[str, "the file to write; if left out: LAB-SNAPSHOT.tar.zst here"] = "",
    with_image: Annotated[bool, "put the base image in, for a host that does not have it"] = False,
    key: Annotated[bool, "print the key for a CI system's cache, and write nothing"] = False,
) -> None:
    """Put a snapshot into one file, which holds the lab's keys and passwords."""
    from stacklab.views import bundles as views
    from stacklab.workflow.bundles import exporting

    if key:
        with session() as context:
            print(exporting.key(context, lab, snapshot, load_named))
        return
    target = Path(out or f"{lab}-{snapshot}.tar.zst").absolute()
    with session(f"lab.export {lab}") as context:
        exported = exporting.export(context, lab, snapshot, target, with_image=with_image)
    print_lines([views.exported(exported)])


@task("lab.import", resumes=True)
def import_(
    _c: Any, file: Annotated[str, "a file that lab.export has written, here or elsewhere"]
) -> None:
    """Take a snapshot from a file that `lab.export` has written on a host like this one."""
    from stacklab.views import bundles as views
    from stacklab.workflow.bundles import importing

    with session(f"lab.import {file}") as context:
        imported = importing.import_(context, Path(file).absolute(), load_named)
    print_lines([views.imported(imported)])


def load_named(name: str) -> Lab:
    """Return the lab of that name in labs/."""

    return load(lab_file(name))


@task("cache.list")
def list_kept(_c: Any) -> None:
    """Show the pristine snapshots of all labs, and how much disk they may take."""
    from stacklab.views import snapshots as views
    from stacklab.workflow.snapshots import cache

    with session() as context:
        context.prepare_root()
        show(views.kept_table(cache.listed(context.host), cache.limit_bytes(context.host)))


@task("cache.prune", resumes=True)
def prune(
    _c: Any,
    everything: Annotated[bool, "all of these, not only those beyond the limit"] = False,
) -> None:
    """Delete pristine snapshots of labs that are not up, until the rest is within the limit."""
    from stacklab.workflow.snapshots import cache

    with session("cache.prune") as context:
        deleted = cache.prune(context, everything=everything)
    lines = [f"deleted the pristine snapshot of {kept.lab}" for kept in deleted]
    print_lines(lines, "nothing to delete")
