"""After the checks: what failed gets its cause, from the nodes and from this host."""

from __future__ import annotations

from collections.abc import Sequence

from stacklab import record
from stacklab.checks.expect import Fault
from stacklab.checks.explain import explain
from stacklab.checks.result import CheckResult
from stacklab.errors import LabError
from stacklab.model.lab import Lab
from stacklab.paths import LabPaths
from stacklab.providers.libvirt.evidence import Looker
from stacklab.tools.libvirt import Libvirt
from stacklab.workflow.context import Context
from stacklab.workflow.faults import fault_list


def explained(
    context: Context, lab: Lab, paths: LabPaths, results: Sequence[CheckResult]
) -> tuple[CheckResult, ...]:
    """The same results, with the causes of what did not pass; costs nothing where all did."""
    if all(result.is_passed for result in results):
        return tuple(results)
    with context.progress.stage("host", "causes"):
        context.progress.say("host", "looking for the causes, 10 s at most")
        return explain.explain(
            lab, paths, context.runner, results, looker(context, paths), _faults(paths)
        )


def _faults(paths: LabPaths) -> tuple[Fault, ...]:
    try:
        return tuple(fault_list.listed(paths))
    except LabError:  # damaged: its own tasks tell
        return ()


def looker(context: Context, paths: LabPaths) -> Looker | None:
    """Who looks at the lab's nodes from this host; None without a record."""
    try:
        kept = record.read(paths)
    except LabError:
        return None
    return Looker(_libvirt(context), context.runner, paths, kept) if kept else None


def _libvirt(context: Context) -> Libvirt | None:
    """The connection to libvirtd; None where it is not running, and it is not started for that."""
    try:
        return None if context.why_unreachable() is not None else context.libvirt
    except LabError:
        return None
