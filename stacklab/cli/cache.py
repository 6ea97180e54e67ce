"""`cache.*`: the pristine snapshots, from which `lab.up` brings labs back in seconds."""

from __future__ import annotations

from typing import Annotated, Any

from stacklab.cli.glue import task
from stacklab.cli.session import print_lines, session, show


@task("cache.list")
def list_kept(_c: Any) -> None:
    """Show the pristine snapshots of all labs, and how much disk they may take."""
    from stacklab.views import snapshots as views
    from stacklab.workflow.snapshots import cache

    with session() as context:
        context.prepare_root()
        show(views.kept_table(cache.listed(context.host), cache.limit_bytes(context.host)))


@task("cache.prune")
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
