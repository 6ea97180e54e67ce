"""The cloud does its work: one check per step of the proof that `drivers/cloud_smoke` runs.

These are tried only where layer `cloud` is asked for by name: they take minutes and make things in
the cloud. `workflow.cloud.proving` has them done, all at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stacklab.checks.family import Facts, Family
from stacklab.checks.result import HOST, Check, CheckKind, CheckResult, Layer
from stacklab.drivers.cloud_smoke.proof import steps
from stacklab.installers import kit_of
from stacklab.installers.kit.roles import compute_nodes
from stacklab.model.lab import Lab, Node
from stacklab.nodes.protocol import Answer, Part


def computes_of(lab: Lab) -> list[str]:
    """Return the nodes that run tenants' VMs."""
    return [node.name for node in compute_nodes(lab)]


def expected(lab: Lab) -> Iterator[Check]:
    """See Family.expected."""
    kit = kit_of(lab.stack.installer)
    access = kit.access(lab) if kit else None
    if access is None:
        return
    listed = steps(
        computes_of(lab),
        has_volumes=access.has_volumes,
        can_migrate=access.can_migrate,
        has_dashboard=bool(access.dashboard_url),
    )
    for step in listed:
        yield Check(kind=CheckKind.CLOUD, node=HOST, subject=step.title)


def _parts(lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> Iterator[Part]:
    yield from ()  # no node is asked


def _judge(
    lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts
) -> Iterator[CheckResult]:
    yield from ()


FAMILY = Family(layers=(Layer.CLOUD,), expected=expected, parts=_parts, judge=_judge)
