"""The outcome of one request for checks, and the error that it ends a command with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stacklab.checks.explain.causes import raise_for
from stacklab.checks.result import CheckKind, CheckResult, CheckStatus
from stacklab.model.lab import Lab


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The results of a request, and when it was carried out."""

    lab: Lab
    results: tuple[CheckResult, ...]
    started_at: float  # time.time()
    elapsed_s: float
    is_strict: bool = False  # a warning is an error, too


def raise_for_checks(lab: Lab, results: Sequence[CheckResult], *, is_strict: bool = False) -> None:
    """Raise CheckFailed or NotChecked unless all passed; if strict, CheckWarned for warnings."""
    hint = f"./invoke lab.ssh {lab.name}, ./invoke lab.console {lab.name}"
    for result in results:
        # If the state of the nodes is unknown, the provider has to be repaired before all else.
        is_unknown = result.check.kind is CheckKind.STATE and result.status is CheckStatus.ERROR
        if is_unknown and result.command:
            hint = f"{result.command}, then ./invoke lab.check {lab.name} again"
            break
    raise_for(results, hint=hint, warnings=is_strict)
