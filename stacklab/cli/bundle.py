"""`lab.export` and `lab.import`: a snapshot as one file, for another host or a CI system."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from stacklab.cli.glue import LabName, task
from stacklab.cli.session import load, session
from stacklab.cli.snapshot import SnapshotName

if TYPE_CHECKING:
    from stacklab.model.lab import Lab


@task("lab.export")
def export(
    _c: Any,
    lab: LabName,
    snapshot: SnapshotName,
    out: Annotated[str, "the file to write; if left out: LAB-SNAPSHOT.tar.zst here"] = "",
    with_image: Annotated[bool, "put the base image in, for a host that does not have it"] = False,
    key: Annotated[bool, "print the key for a CI system's cache, and write nothing"] = False,
) -> None:
    """Put a snapshot into one file, which holds the lab's keys and passwords."""
    from stacklab.views import bundles as views
    from stacklab.workflow.snapshots import exporting

    if key:
        with session() as context:
            print(exporting.key(context, lab, snapshot, load_named))
        return
    target = Path(out or f"{lab}-{snapshot}.tar.zst").absolute()
    with session(f"lab.export {lab}") as context:
        exported = exporting.export(context, lab, snapshot, target, with_image=with_image)
    print(views.exported(exported))


@task("lab.import")
def import_(
    _c: Any, file: Annotated[str, "a file that lab.export has written, here or elsewhere"]
) -> None:
    """Take a snapshot from a file that `lab.export` has written on a host like this one."""
    from stacklab.views import bundles as views
    from stacklab.workflow.snapshots import importing

    with session(f"lab.import {file}") as context:
        imported = importing.import_(context, Path(file).absolute(), load_named)
    print(views.imported(imported))


def load_named(name: str) -> Lab:
    """Return the lab of that name in labs/."""
    from stacklab import spec
    from stacklab.paths import LABS

    return load(spec.find(name, LABS))
