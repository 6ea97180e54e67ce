"""Explain what failed, after the checks, by another look at the nodes and at this host."""

from __future__ import annotations

from collections.abc import Sequence

from stacklab.checks.expect import Fault
from stacklab.checks.explain import explain
from stacklab.checks.result import CheckResult
from stacklab.errors import LabError
from stacklab.model.lab import Lab
from stacklab.paths import LabPaths
from stacklab.providers import registry
from stacklab.providers.contract import Evidence, Looker
from stacklab.workflow.context import Context
from stacklab.workflow.faults import fault_list


def explained(
    context: Context, lab: Lab, paths: LabPaths, results: Sequence[CheckResult]
) -> tuple[CheckResult, ...]:
    """Return the same results, with the causes of what failed; free where all passed."""
    # Most runs end here: a second look at the nodes takes seconds.
    if all(result.is_passed for result in results):
        return tuple(results)
    with context.progress.stage("host", "causes"):
        context.progress.say("host", "looking for the causes, 10 s at most")
        return explain.explain(
            lab, paths, context.runner, results, looker(context, paths), _listed_faults(paths)
        )


def _listed_faults(paths: LabPaths) -> tuple[Fault, ...]:
    try:
        return tuple(fault_list.listed(paths))
    except LabError:  # a damaged list: lab.fault reports it
        return ()


def looker(context: Context, paths: LabPaths) -> Looker | None:
    """Return who looks at the lab's nodes from this host; None where nobody can.

    Starts nothing for that.
    """
    try:
        record = registry.read(paths)
    except LabError:
        return None
    if record is None:
        return None
    provider = context.provider(record)
    return provider.looker(paths, record) if isinstance(provider, Evidence) else None
