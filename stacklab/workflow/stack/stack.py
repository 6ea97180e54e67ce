"""Run, plan and follow the stages of a lab that is up."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stacklab import releases
from stacklab.errors import AlreadyRunning, Interrupted, LabError
from stacklab.images.store import image_name
from stacklab.installers import kit_of, rendering
from stacklab.model.lab import Lab
from stacklab.model.release_names import operating_system
from stacklab.model.state import NodeState
from stacklab.paths import LabPaths
from stacklab.record import LabRecord
from stacklab.stages import report
from stacklab.stages.attempt import StageResult
from stacklab.stages.engine import AfterStage, Engine, is_still_done, no_hook
from stacklab.stages.journal import Journal, StageState
from stacklab.stages.selection import (
    StageSelection,
    can_go_on,
    makes_others_run,
    select,
    why_run,
)
from stacklab.stages.stage import Stage
from stacklab.stages.step_log import StepLog, file_name
from stacklab.workflow.cloud import departed
from stacklab.workflow.context import Context, last_resolved, not_up, read_own
from stacklab.workflow.debug import places
from stacklab.workflow.debug.services import list_services
from stacklab.workflow.lab import host_guard
from stacklab.workflow.lab.changes.refusing import refuse as refuse_changed
from stacklab.workflow.masking import Masker
from stacklab.workflow.mirror import serving
from stacklab.workflow.placing import place_changed, render_answers, render_as_known
from stacklab.workflow.stack import inputs, sources
from stacklab.workflow.stack.node_worker import NodeWorkers

Hook = Callable[[Context, Lab, LabRecord], AfterStage]
"""Returns what is called after each stage that was run, for that lab."""


def no_hooks(_context: Context, _lab: Lab, _record: LabRecord) -> AfterStage:
    """Do nothing after stages."""
    return no_hook


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStage:
    """A stage, its last attempt, and why it would run; "" if it would not."""

    stage: Stage
    state: StageState | None
    why: str = ""
    is_passed: bool = False  # before --from
    is_left: bool = False  # behind --to


def run(
    context: Context,
    lab: Lab,
    *,
    first: str = "",
    last: str = "",
    tries_sources: bool = True,
    hook: Hook = no_hooks,
) -> tuple[StageResult, ...]:
    """Run the stages of a lab's installer that are not done; `lab` is its spec of today.

    Raises StageFailed, or any other LabError. Safe to call again after any failure.
    """
    with _lock(context, lab.name) as paths:
        lab_record = _check_up(context, lab, paths)
        # For mirrors that the spec, or this host, has got since lab.up.
        host_guard.close(context, lab, paths)
        return run_held(
            context,
            lab,
            paths,
            lab_record,
            first=first,
            last=last,
            tries_sources=tries_sources,
            hook=hook,
        )


def run_held(
    context: Context,
    lab: Lab,
    paths: LabPaths,
    lab_record: LabRecord,
    *,
    first: str = "",
    last: str = "",
    tries_sources: bool = True,
    hook: Hook = no_hooks,
) -> tuple[StageResult, ...]:
    """Do the same for a lab whose lock the caller holds, and whose nodes answer."""
    stages = inputs.stages_of(context, lab)
    selection = _select(lab, stages, first=first, last=last)
    _refuse_debugged(context, lab, paths)
    serving.start(context, lab, paths)
    rendered, known = render_answers(context, lab, paths)
    digests = inputs.digests(stages, rendered)
    if tries_sources:
        _try_sources(context, lab, paths, stages, selection, digests)
    # Before the stages: one of them waits for every chassis that OVN has.
    lab_record = _forget_departed(context, lab, paths, lab_record, is_last=False)
    place_changed(context, lab, paths, lab_record, rendered)
    masker = Masker(paths, shaped=rendering.secret_texts(lab, known))
    engine = Engine(
        stages,
        digests,
        workers=NodeWorkers(context.runner, paths),
        journal=Journal(paths.journal),
        open_log=_log_opener(paths, masker.text),
        progress=context.progress,
        after_stage=hook(context, lab, lab_record),
    )
    try:
        results = engine.run(selection)
    except KeyboardInterrupt as error:
        raise interrupted(lab.name, paths) from error
    report.raise_for(results, lab=lab.name, log_of=lambda name: log_of(paths, name))
    _forget_departed(context, lab, paths, read_own(paths) or lab_record, is_last=True)
    return results


def _refuse_debugged(context: Context, lab: Lab, paths: LabPaths) -> None:
    """Raise LabError while a container's config.json is covered, which its installer would write.

    See drivers.node_containers. Nodes are only asked where somebody has debugged.
    """
    kit = kit_of(lab.stack.installer)
    if kit is None or not kit.has_containers or not places.root(paths).exists():
        return
    covered = [
        f"{each.name} on {each.node}"
        for each in list_services(context, lab, paths)
        if each.is_hooked or each.is_calmed
    ]
    if covered:
        raise LabError(
            f"the installer of {lab.name} can't write the config.json of services that are "
            f"debugged, or wait for one that is: {', '.join(covered)}",
            hint=f"./invoke debug.detach {lab.name}",
        )


def _forget_departed(
    context: Context, lab: Lab, paths: LabPaths, lab_record: LabRecord, *, is_last: bool
) -> LabRecord:
    patience_s = departed.BOOTED_S
    return departed.forget(context, lab, paths, lab_record, patience_s=patience_s, is_last=is_last)


def plan(
    context: Context, lab: Lab, *, first: str = "", last: str = ""
) -> tuple[PlannedStage, ...]:
    """Return what `run` would do, and change nothing; tests of what is done are tried."""
    paths = context.host.lab(lab.name)
    _check_up(context, lab, paths)
    stages = inputs.stages_of(context, lab)
    selection = _select(lab, stages, first=first, last=last)
    digests = inputs.digests(stages, render_as_known(context, lab, paths))
    return _plan(context, paths, stages, selection, digests)


def _try_sources(
    context: Context,
    lab: Lab,
    paths: LabPaths,
    stages: tuple[Stage, ...],
    selection: StageSelection,
    digests: Mapping[str, str],
) -> None:
    """Raise SourceUnreached if a stage that is about to begin can't have what it fetches."""
    if not sources.has_sources(lab):
        return
    history = Journal(paths.journal).read()
    asked_for = [stage for stage in stages if not selection.leaves_out(stage.name)]
    if any(can_go_on(history.state(stage.name), digests[stage.name]) for stage in asked_for):
        # Its work may be running: whoever comes back to it must not be sent away.
        return
    planned = _plan(context, paths, stages, selection, digests)
    about_to_run = [one.stage for one in planned if one.why]
    sources.refuse_unreached(context, lab, paths, about_to_run)


def _plan(
    context: Context,
    paths: LabPaths,
    stages: tuple[Stage, ...],
    selection: StageSelection,
    digests: Mapping[str, str],
) -> tuple[PlannedStage, ...]:
    """Look at the journal, and try the tests of what is done on the nodes."""
    history = Journal(paths.journal).read()
    workers = NodeWorkers(context.runner, paths, patience_s=0)
    worker = workers.of_stage(lambda _text: None)
    planned: list[PlannedStage] = []
    would_run: set[str] = set()
    for stage in stages:
        name = stage.name
        is_passed, is_left = name in selection.passed, name in selection.left
        why = ""
        if not is_passed and not is_left:
            why = why_run(stage, history, digests[name], selection=selection, ran=would_run)
            if not why and not is_still_done(stage, worker):
                why = "its test fails"
        if why and makes_others_run(history.state(name), digests[name]):
            would_run.add(name)
        planned.append(
            PlannedStage(
                stage=stage,
                state=history.state(name),
                why=why,
                is_passed=is_passed,
                is_left=is_left,
            )
        )
    return tuple(planned)


def log_of(paths: LabPaths, stage: str) -> Path:
    """Return the log of a stage."""
    return paths.stack_logs / file_name(stage)


def interrupted(name: str, paths: LabPaths) -> Interrupted:
    """Return the error for Ctrl-C, which says what goes on on the nodes."""
    history = Journal(paths.journal).read()
    running: list[str] = []
    for state in history.states.values():
        step = state.last_step
        if state.is_unfinished and step is not None and not step.is_done:
            running.append(state.name)
    return report.interrupted(running, lab=name)


@contextlib.contextmanager
def _lock(context: Context, name: str) -> Iterator[LabPaths]:
    """Hold the lab; where another lab.stack does, say how to see what it does."""
    with contextlib.ExitStack() as held:
        try:
            paths = held.enter_context(context.lab_lock(name))
        except AlreadyRunning as error:
            hint = f"./invoke lab.stack {name} --follow shows what runs; or {error.hint}"
            raise AlreadyRunning(error.message, hint=hint) from error
        yield paths


def _select(lab: Lab, stages: tuple[Stage, ...], *, first: str, last: str) -> StageSelection:
    try:
        return select(stages, first=first, last=last)
    except LabError as error:
        raise LabError(error.message, hint=f"./invoke lab.stack {lab.name} --plan") from error


def _check_up(context: Context, lab: Lab, paths: LabPaths) -> LabRecord:
    """Return the record of a lab whose nodes run; raises LabError naming what to type."""
    lab_record = read_own(paths)
    made = last_resolved(paths)
    if lab_record is None or made is None:
        raise not_up(context, lab.name)
    refuse_changed(lab, made, lab_record)
    _refuse_other_systems(lab, lab_record)
    states = context.states(lab_record)
    away = [f"{node} is {state}" for node, state in states.items() if state != NodeState.RUNNING]
    if away:
        raise LabError(
            f"not all nodes of lab {lab.name} run: {', '.join(away)}",
            hint=f"./invoke lab.up {lab.name}, then ./invoke lab.stack {lab.name}",
        )
    return lab_record


def _refuse_other_systems(lab: Lab, lab_record: LabRecord) -> None:
    """Raise LabError if the nodes run a system that the release does not know.

    The spec may list several images, and the first that this host can have was taken.
    """
    known = releases.of(lab.stack.installer).get(lab.stack.release)
    system = operating_system(image_name(lab_record.image))
    if known is None or not known.images or system in known.images:
        return
    raise LabError(
        f"the nodes of lab {lab.name} run {system}, on which {known.installer} {known.name} "
        f"never worked (worked: {', '.join(known.images)})",
        hint=f"put an image that it knows first in labs/{lab.name}.yaml, then "
        f"./invoke lab.rebuild {lab.name}",
    )


def _log_opener(
    paths: LabPaths, mask: Callable[[str], str]
) -> Callable[[Stage, Callable[[str], None]], StepLog]:
    def open_log(stage: Stage, said: Callable[[str], None]) -> StepLog:
        return StepLog(log_of(paths, stage.name), mask=mask, said=said)

    return open_log
