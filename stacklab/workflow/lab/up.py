"""`lab.up`: bring a lab to nodes that passed their checks, from wherever it was left."""

from __future__ import annotations

from stacklab.model.lab import Lab, NodeKind
from stacklab.workflow import spec_files
from stacklab.workflow.cloud import departed
from stacklab.workflow.context import Context, last_resolved, not_up, read_own
from stacklab.workflow.lab import kinds
from stacklab.workflow.lab.bringing_up.steps import Bringing
from stacklab.workflow.lab.changes.following import Following
from stacklab.workflow.lab.changes.refusing import NO_CONSENT, Consent
from stacklab.workflow.lab.changes.refusing import refuse as refuse_changed
from stacklab.workflow.lab.ending import clear_away
from stacklab.workflow.lab.lab_up import LabUp
from stacklab.workflow.node_names import node_named


def up(
    context: Context,
    lab: Lab,
    *,
    checks: bool = True,
    with_stack: bool = True,
    ttl_s: float | None = None,
    all_as: NodeKind | None = None,
    is_cold: bool = False,
    consent: Consent = NO_CONSENT,
) -> LabUp:
    """Bring the lab up, or what is missing of it, and check it; `ttl_s` counts from now.

    A lab that exists follows its spec, as far as `consent` goes: see workflow.lab.changes.

    `all_as` makes all nodes of one kind; None leaves them as they are, or as the spec has them.
    Without `with_stack` no stage of an installer runs, however quick it is. A lab of which
    nothing exists comes from its pristine snapshot, unless it is to be a cold start.

    Idempotent: nodes that run are left alone. Raises any LabError. Safe to call again
    after any failure: it resumes; `destroy` removes partial state.
    """
    with context.lab_lock(lab.name) as paths:
        before = read_own(paths)
        spec_files.refuse_other(paths, lab.source)
        lab = kinds.as_on_host(context, kinds.chosen(lab, before, all_as))
        bringing = Bringing(context, lab, paths, ttl_s=ttl_s, all_as=all_as, with_stack=with_stack)
        if before is None:
            choice = bringing.prepare(None)
            came_back = None if is_cold else bringing.come_back(None, choice)
            return came_back or bringing.bring(None, choice, checks=checks)
        made = last_resolved(paths)
        kinds.refuse_other(lab, before, made, all_as)
        following = Following(context, lab, paths, made=made, before=before)
        following.refuse_unless(consent)
        choice = bringing.prepare(before, anew=following.changes.needs_other_image)
        lab_record = following.clear_away()
        if lab_record.departed:
            # While nothing of today is made yet: a node of the same name may come next.
            lab_record = departed.forget(
                context, lab, paths, lab_record, patience_s=departed.RUNNING_S, is_last=False
            )
        return bringing.bring(lab_record, choice, checks=checks)


def rebuild(
    context: Context,
    lab: Lab,
    *,
    checks: bool = True,
    with_stack: bool = True,
    all_as: NodeKind | None = None,
    is_cold: bool = False,
) -> LabUp:
    """Make the lab again from its spec of today; its passwords and keys stay.

    It comes from its pristine snapshot, unless it is to be a cold start.
    """
    with context.lab_lock(lab.name) as paths:
        # Before the old nodes go: what can't come back had better stay.
        before = read_own(paths)
        spec_files.refuse_other(paths, lab.source)
        lab = kinds.as_on_host(context, kinds.chosen(lab, before, all_as))
        if all_as is None and before is not None and before.all_as:
            all_as = NodeKind(before.all_as)
        bringing = Bringing(context, lab, paths, all_as=all_as, with_stack=with_stack)
        choice = bringing.prepare(before, anew=True)
        came_back = None if is_cold else bringing.come_back(before, choice)
        if came_back is not None:
            return came_back
        clear_away(context, paths, read_own(paths))
        return bringing.bring(None, choice, checks=checks)


def rebuild_node(
    context: Context, lab: Lab, node: str, *, checks: bool = True, with_stack: bool = True
) -> LabUp:
    """Make one node of a lab that exists again, on the lab's own image; the others go on."""
    node_named(lab, node, hint=f"./invoke lab.show {lab.name}")
    with context.lab_lock(lab.name) as paths:
        before = read_own(paths)
        if before is None:
            raise not_up(context, lab.name)
        spec_files.refuse_other(paths, lab.source)
        lab = kinds.as_on_host(context, kinds.chosen(lab, before, None))
        refuse_changed(lab, last_resolved(paths), before)
        bringing = Bringing(context, lab, paths, with_stack=with_stack)
        # Before the old node goes: what can't come back had better stay.
        choice = bringing.prepare(before)
        before = bringing.remove_node(before, node)
        return bringing.bring(before, choice, checks=checks)
