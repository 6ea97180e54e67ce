"""`lab.stack`: what the lab's installer does on its nodes."""

from __future__ import annotations

from typing import Annotated, Any

from stacklab.cli.framework.glue import Completes, NameOfLabThatIsUp, task
from stacklab.cli.framework.session import session, show
from stacklab.errors import LabError


@task("lab.stack", resumes=True)
def stack(
    _c: Any,
    name: NameOfLabThatIsUp,
    from_: Annotated[
        str,
        "run this stage and what waits for it, even if done; those listed before it count as done",
        Completes.STAGE,
    ] = "",
    to: Annotated[str, "stop behind this stage", Completes.STAGE] = "",
    plan: Annotated[bool, "show the stages and what would run; change nothing"] = False,
    follow: Annotated[bool, "show what runs on the nodes; start nothing"] = False,
    no_sources: Annotated[bool, "don't try beforehand what the stages will fetch"] = False,
) -> None:
    """Install the lab's cloud: run the stages that are not done, or attach to what runs."""
    from stacklab.views import stack as views
    from stacklab.workflow.snapshots import checkpoints
    from stacklab.workflow.stack import following, sources, spec_of_today
    from stacklab.workflow.stack import stack as workflow

    if follow and (plan or from_ or to or no_sources):
        raise LabError(
            "--follow starts nothing: it goes with no other option",
            hint=f"./invoke lab.stack {name} --follow",
        )
    if plan:
        with session() as context:
            lab = spec_of_today.find(context, name)
            planned = workflow.plan(context, lab, first=from_, last=to)
            about_to_run = [one.stage for one in planned if one.why]
            wanted = sources.planned(context, lab, about_to_run)
        show(views.plan_table(planned), *views.sources_tables(wanted))
        return
    if follow:
        with session(f"lab.stack {name}") as context:
            history = following.follow(context, name)
        shown = views.history_table(name, history)
        if shown is not None:
            show(shown)
        return
    with session(f"lab.stack {name}") as context:
        lab = spec_of_today.find(context, name)
        results = workflow.run(
            context,
            lab,
            first=from_,
            last=to,
            tries_sources=not no_sources,
            hook=checkpoints.after_stage,
        )
    show(*views.outcome(name, results))
