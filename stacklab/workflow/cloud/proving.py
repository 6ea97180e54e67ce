"""The proof of a cloud as results of checks, for `lab.check --layer cloud`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stacklab.checks.result import (
    Check,
    CheckResult,
    CheckStatus,
    Layer,
    Reason,
    Verdict,
)
from stacklab.errors import NotChecked
from stacklab.model.lab import Lab
from stacklab.paths import LabPaths
from stacklab.workflow.cloud import smoke
from stacklab.workflow.context import Context


def prove(
    context: Context,
    lab: Lab,
    paths: LabPaths,
    checks: Sequence[Check],
    services: Sequence[CheckResult],
) -> tuple[CheckResult, ...]:
    """Have the proof run, and return one result for each of these checks.

    `services` are results of the same run: a cloud whose services do not run is not put to the
    test, which would take many minutes to fail.
    """
    broken = [
        result
        for result in services
        if result.check.kind.layer is Layer.SERVICES and not result.is_passed
    ]
    if broken:
        why = f"not tried: {broken[0].check.title} does not pass"
        return tuple(Verdict.error(Reason.NOT_TRIED, why).of(check) for check in checks)
    try:
        steps = smoke.prove(context, lab, paths, keep=False)
    except NotChecked as error:
        command = f"./invoke lab.cloud {lab.name} -- token issue"
        verdict = Verdict.error(Reason.NOT_TRIED, error.message)
        return tuple(verdict.of(check, command=command) for check in checks)
    return tuple(_results(lab, checks, steps))


def _results(
    lab: Lab, checks: Sequence[Check], steps: Sequence[smoke.SmokeStep]
) -> Iterator[CheckResult]:
    by_name = {step.name: step for step in steps}
    failed = next((step.name for step in steps if not step.is_ok), "")
    for check in checks:
        step = by_name.get(check.subject)
        if step is None:
            why = f"not tried: the proof ended with `{failed}`"
            yield Verdict.error(Reason.NOT_TRIED, why).of(check)
        else:
            yield _result(lab, check, step)


def _result(lab: Lab, check: Check, step: smoke.SmokeStep) -> CheckResult:
    if step.is_ok:
        return CheckResult(
            check=check,
            status=CheckStatus.PASSED,
            reason=Reason.OK,
            detail=step.detail or "done",
            elapsed_s=step.elapsed_s,
        )
    first, _, rest = step.detail.partition("\n")
    return CheckResult(
        check=check,
        status=CheckStatus.FAILED,
        reason=Reason.STEP_FAILED,
        detail=first,
        elapsed_s=step.elapsed_s,
        command=f"./invoke cloud.smoke {lab.name} --keep",
        output=rest,
    )
