"""Which checks a lab's spec promises, by family, in one order."""

from __future__ import annotations

from collections.abc import Sequence

from stacklab.checks import custom
from stacklab.checks.cloud import family as cloud
from stacklab.checks.family import Facts, Family
from stacklab.checks.impairments import family as impairments
from stacklab.checks.nodes import family as nodes
from stacklab.checks.pairs import family as pairs
from stacklab.checks.reach import isolation, outside
from stacklab.checks.result import ALL, Check, CheckKind, CheckResult, Layer, Selection
from stacklab.model.lab import Lab, Node
from stacklab.nodes.protocol import Answer, Part

# Who is to judge what; a layer that comes with its cloud is one more line here.
FAMILIES: dict[Layer, Family] = {
    Layer.NODES: nodes,
    Layer.PAIRS: pairs,
    Layer.ISOLATION: isolation,
    Layer.OUTSIDE: outside,
    Layer.IMPAIRMENTS: impairments,
    Layer.CUSTOM: custom,
    Layer.SERVICES: cloud,
    Layer.CLOUD: cloud,
}


def expected(lab: Lab, selection: Selection = ALL) -> tuple[Check, ...]:
    """List every check that the spec promises and the selection wants, node by node; a login is always among them."""
    found: dict[str, list[Check]] = {node.name: [] for node in lab.nodes}
    for family in dict.fromkeys(FAMILIES.values()):
        for check in family.expected(lab):
            found.setdefault(check.node, []).append(check)
    wanted = {
        name: [check for check in checks if selection.wants(check)]
        for name, checks in found.items()
    }
    return tuple(
        check
        for name, checks in found.items()
        for check in checks
        if selection.wants(check) or (check.kind is CheckKind.LOGIN and wanted[name])
    )


def by_family(checks: Sequence[Check]) -> list[tuple[Family, list[Check]]]:
    """The checks with those who judge them; logins, states and clocks are judged by the mesh."""
    found: dict[int, tuple[Family, list[Check]]] = {}
    for check in checks:
        family = FAMILIES[check.kind.layer]
        found.setdefault(id(family), (family, []))[1].append(check)
    return list(found.values())


def parts(lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> tuple[Part, ...]:
    """What a node has to run for these of its checks; raises AssertionError if two parts have one tag."""
    found = tuple(
        part for family, own in by_family(checks) for part in family.parts(lab, node, own, facts)
    )
    assert len({part.tag for part in found}) == len(found), [part.tag for part in found]
    return found


def judge(
    lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts
) -> tuple[CheckResult, ...]:
    """Hold a node's answer against what was expected, in the order of the checks."""
    results = {
        r.check: r
        for family, own in by_family(checks)
        for r in family.judge(lab, own, answer, facts)
    }
    return tuple(results[check] for check in checks if check in results)
