"""Checks of layers `services` and `cloud`: the cloud's services run, and it does its work.

What they are is a stack's own business. A stack's checks are a Family of their own that
stands in CLOUDS under its installer; its checks are of the kinds SERVICE and CLOUD,
and its parts' tags begin with `cloud.`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stacklab.checks.family import Facts, Family
from stacklab.checks.result import Check, CheckKind, CheckResult
from stacklab.model.lab import Lab, Node
from stacklab.model.stack import Installer
from stacklab.nodes.protocol import Answer, Part

KINDS = (CheckKind.SERVICE, CheckKind.CLOUD)
TAGS = "cloud."

# None yet: `lab.up` writes a stack's answers and installs nothing, so there is nothing to look at.
CLOUDS: dict[Installer, Family] = {}


def family_of(lab: Lab) -> Family | None:
    """Who checks this lab's cloud; None if nobody can."""
    return CLOUDS.get(lab.stack.installer)


def expected(lab: Lab) -> Iterator[Check]:
    """See Family.expected; raises AssertionError for a kind that is another layer's."""
    if family := family_of(lab):
        for check in family.expected(lab):
            assert check.kind in KINDS, check
            yield check


def parts(lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> Iterator[Part]:
    """See Family.parts; raises AssertionError for a tag that is not of the cloud's."""
    if family := family_of(lab):
        for part in family.parts(lab, node, checks, facts):
            assert part.tag.startswith(TAGS), part.tag
            yield part


def judge(lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts) -> Iterator[CheckResult]:
    """See Family.judge."""
    if family := family_of(lab):
        yield from family.judge(lab, checks, answer, facts)
