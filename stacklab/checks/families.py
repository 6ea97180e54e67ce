"""All families of checks together: what is asked of each, in the order of reports."""

from __future__ import annotations

from collections.abc import Sequence

from stacklab.checks.family import Facts, Family
from stacklab.checks.result import ALL, Check, CheckKind, CheckResult, Layer, Selection
from stacklab.model.lab import Lab, Node
from stacklab.nodes.protocol import Answer, Part


class Families:
    """Families of checks; whoever runs checks knows them only through this class."""

    def __init__(self, *families: Family) -> None:
        self._families = families
        self._by_layer: dict[Layer, Family] = {}
        for family in families:
            for layer in family.layers:
                self._by_layer[layer] = family

    def expected(self, lab: Lab, selection: Selection = ALL) -> tuple[Check, ...]:
        """List every check that the spec promises and the selection wants, node by node.

        A node that has any of them has its login among them.
        """
        by_node: dict[str, list[Check]] = {node.name: [] for node in lab.nodes}
        for family in self._families:
            for check in family.expected(lab):
                by_node.setdefault(check.node, []).append(check)
        chosen: list[Check] = []
        for checks in by_node.values():
            if not any(selection.wants(check) for check in checks):
                continue
            for check in checks:
                if check.kind is CheckKind.LOGIN or selection.wants(check):
                    chosen.append(check)
        return tuple(chosen)

    def family_of(self, check: Check) -> Family:
        """Return the family that a check belongs to."""
        return self._by_layer[check.kind.layer]

    def group(self, checks: Sequence[Check]) -> list[tuple[Family, list[Check]]]:
        """Group checks by the family that judges them."""
        groups: dict[Family, list[Check]] = {}
        for check in checks:
            groups.setdefault(self.family_of(check), []).append(check)
        return list(groups.items())

    def parts(
        self, lab: Lab, node: Node, checks: Sequence[Check], facts: Facts
    ) -> tuple[Part, ...]:
        """List what a node has to run for its checks.

        Two parts with one tag are an AssertionError: an answer could not be told apart.
        """
        parts: list[Part] = []
        for family, its_checks in self.group(checks):
            parts += family.parts(lab, node, its_checks, facts)
        tags = [part.tag for part in parts]
        assert len(set(tags)) == len(tags), tags
        return tuple(parts)

    def judge(
        self, lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts
    ) -> tuple[CheckResult, ...]:
        """Hold a node's answer against what was expected, in the order of the checks."""
        results: dict[Check, CheckResult] = {}
        for family, its_checks in self.group(checks):
            for result in family.judge(lab, its_checks, answer, facts):
                results[result.check] = result
        return tuple(results[check] for check in checks if check in results)
