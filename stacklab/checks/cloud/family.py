"""Checks of layers `services` and `cloud`: the cloud's services run, and it does its work.

Which checks these are is for each stack to say: it has a Family of its own in CLOUDS, under
its installer. Its checks are of the kinds SERVICE and CLOUD, and the tags of its parts begin
with `cloud.`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stacklab.checks.family import Facts, Family
from stacklab.checks.result import Check, CheckKind, CheckResult, Layer
from stacklab.model.lab import Lab, Node
from stacklab.model.stack import Installer
from stacklab.nodes.protocol import Answer, Part

KINDS = (CheckKind.SERVICE, CheckKind.CLOUD)
TAGS = "cloud."

# Empty so far: `lab.up` writes a stack's answers and installs nothing, so nothing can be checked.
CLOUDS: dict[Installer, Family] = {}


def family_of(lab: Lab) -> Family | None:
    """Return the family that checks this lab's cloud; None if its stack has no family."""
    return CLOUDS.get(lab.stack.installer)


def expected(lab: Lab) -> Iterator[Check]:
    """See Family.expected; raises AssertionError for a kind that is another layer's."""
    family = family_of(lab)
    if family is not None:
        for check in family.expected(lab):
            assert check.kind in KINDS, check
            yield check


def parts(lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> Iterator[Part]:
    """See Family.parts; raises AssertionError for a tag that is not of the cloud's."""
    family = family_of(lab)
    if family is not None:
        for part in family.parts(lab, node, checks, facts):
            assert part.tag.startswith(TAGS), part.tag
            yield part


def judge(lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts) -> Iterator[CheckResult]:
    """See Family.judge."""
    family = family_of(lab)
    if family is not None:
        yield from family.judge(lab, checks, answer, facts)


FAMILY = Family(layers=(Layer.SERVICES, Layer.CLOUD), expected=expected, parts=parts, judge=judge)
