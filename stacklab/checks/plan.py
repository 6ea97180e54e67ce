"""The checks that a lab's spec promises, in one order, and the families that judge them."""

from __future__ import annotations

from collections.abc import Sequence

from stacklab.checks import custom
from stacklab.checks.cloud import family as cloud
from stacklab.checks.family import Facts, Family
from stacklab.checks.impairments import family as impairments
from stacklab.checks.nodes import family as nodes
from stacklab.checks.pairs import family as pairs
from stacklab.checks.reach import isolation_family, outside_family
from stacklab.checks.result import ALL, Check, CheckKind, CheckResult, Layer, Selection
from stacklab.model.lab import Lab, Node
from stacklab.nodes.protocol import Answer, Part

# The only list of families, in the order of reports.
FAMILIES: tuple[Family, ...] = (
    nodes.FAMILY,
    pairs.FAMILY,
    isolation_family.FAMILY,
    outside_family.FAMILY,
    impairments.FAMILY,
    custom.FAMILY,
    cloud.FAMILY,
)
_BY_LAYER: dict[Layer, Family] = {layer: family for family in FAMILIES for layer in family.layers}


def expected(lab: Lab, selection: Selection = ALL) -> tuple[Check, ...]:
    """List every check that the spec promises and the selection wants, node by node.

    A node that has any of them has its login among them.
    """
    by_node: dict[str, list[Check]] = {node.name: [] for node in lab.nodes}
    for family in FAMILIES:
        for check in family.expected(lab):
            by_node.setdefault(check.node, []).append(check)
    chosen: list[Check] = []
    for checks in by_node.values():
        if any(map(selection.wants, checks)):
            chosen += [check for check in checks if _is_chosen(check, selection)]
    return tuple(chosen)


def _is_chosen(check: Check, selection: Selection) -> bool:
    """Return True if a check of a node that has any is tried: its login always is."""
    return check.kind is CheckKind.LOGIN or selection.wants(check)


def family_of(check: Check) -> Family:
    """Return the family that a check belongs to."""
    return _BY_LAYER[check.kind.layer]


def by_family(checks: Sequence[Check]) -> list[tuple[Family, list[Check]]]:
    """Group checks by the family that judges them."""
    groups: dict[Family, list[Check]] = {}
    for check in checks:
        groups.setdefault(family_of(check), []).append(check)
    return list(groups.items())


def parts(lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> tuple[Part, ...]:
    """List what a node has to run for its checks; two parts with one tag are an AssertionError."""
    listed: list[Part] = []
    for family, family_checks in by_family(checks):
        listed += family.parts(lab, node, family_checks, facts)
    tags = [part.tag for part in listed]
    assert len(set(tags)) == len(tags), tags
    return tuple(listed)


def judge(
    lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts
) -> tuple[CheckResult, ...]:
    """Hold a node's answer against what was expected, in the order of the checks."""
    results: dict[Check, CheckResult] = {}
    for family, family_checks in by_family(checks):
        for result in family.judge(lab, family_checks, answer, facts):
            results[result.check] = result
    return tuple(results[check] for check in checks if check in results)
