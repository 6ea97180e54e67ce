"""What comes before any node is touched: find what would fail, and get the base image."""

from __future__ import annotations

from stacklab import doctor
from stacklab.installers import rendering as answers
from stacklab.model.lab import Lab
from stacklab.model.state import NodeState
from stacklab.paths import LabPaths
from stacklab.record import LabRecord
from stacklab.workflow import base_image as base
from stacklab.workflow.base_image import Choice
from stacklab.workflow.context import Context


def prepare(
    context: Context, lab: Lab, paths: LabPaths, before: LabRecord | None, *, anew: bool = False
) -> Choice:
    """Raise what would fail later, and return the base image, built now if need be.

    `anew` takes today's image even where overlays of another one exist.
    """
    with context.progress.stage("host", "preflight"):
        # Without secrets: a stack that can't be rendered shows before minutes of work.
        answers.preview(lab)
        _preflight(context, lab, before, anew=anew)
    return _choose_base(context, lab, paths, None if anew else before)


def _preflight(context: Context, lab: Lab, before: LabRecord | None, *, anew: bool) -> None:
    provider = context.provider(before, of_new=lab)
    unreachable = provider.why_unreachable(start=True)
    states = provider.status(before) if before and unreachable is None else {}
    if anew and unreachable is None:
        # What is made anew may be of another kind.
        unreachable = context.provider(of_new=lab).why_unreachable(start=True)
    # Only these need memory that the host must have free; the others have theirs already.
    starting: list[str] = []
    for node in lab.nodes:
        if states.get(node.name) is not NodeState.RUNNING:
            starting.append(node.name)
    results = doctor.preflight(
        lab,
        context.host,
        context.machine,
        connect=lambda: unreachable.why if unreachable else None,
        others=context.other_labs(lab.name),
        starting=starting,
        builds_image=not base.is_built(context, lab),
    )
    doctor.raise_for(results)
    for result in results:
        if result.is_said:
            context.progress.note("host", result.sentence)


def _choose_base(context: Context, lab: Lab, paths: LabPaths, before: LabRecord | None) -> Choice:
    nodes = before.nodes if before is not None else ()
    has_overlay = any(_has_overlay(paths, node.name) for node in nodes)
    # An overlay holds only what differs from its base: on another one it would be garbage.
    if before is not None and has_overlay:
        return base.recorded(context, before)
    return base.choose(context, lab)


def _has_overlay(paths: LabPaths, node: str) -> bool:
    return paths.overlay(node).exists() or paths.container(node).exists()
