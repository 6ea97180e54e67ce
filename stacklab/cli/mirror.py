"""`mirror.fill`: the mirror of git that labs' nodes clone from."""

from __future__ import annotations

from typing import Annotated, Any

from stacklab.cli.framework.glue import LabName, task
from stacklab.cli.framework.lab_words import lab_file
from stacklab.cli.framework.session import session, show
from stacklab.errors import LabError


@task("mirror.fill", resumes=True)
def fill(
    _c: Any,
    name: LabName,
    from_: Annotated[str, "a directory with clones, or a server; else where each is at home"] = "",
    depth: Annotated[int, "take so many commits of each branch; 0: all"] = 0,
) -> None:
    """Fetch what a lab's installer clones into a mirror on this host, which the nodes get."""
    from stacklab import spec
    from stacklab.views import host as views
    from stacklab.workflow.mirror import fill as workflow

    if depth < 0:
        raise LabError("--depth: a number of commits, or 0 for all", hint="--depth 60")
    with session(f"mirror.fill {name}") as context:
        lab = spec.load(lab_file(name))
        mirror, filled = workflow.fill(context, lab, source=from_, depth=depth)
    show(views.mirror_table(mirror, filled))
    workflow.raise_for(lab, mirror, filled)
