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
# Of a stack without a family.
_NO_CLOUD = Family(
    layers=(),
    expected=lambda lab: (),
    parts=lambda lab, node, checks, facts: (),
    judge=lambda lab, checks, answer, facts: (),
)


def family_of(lab: Lab) -> Family:
    """Return the family that checks this lab's cloud; an empty one if its stack has no family."""
    return CLOUDS.get(lab.stack.installer, _NO_CLOUD)


def expected(lab: Lab) -> Iterator[Check]:
    """See Family.expected; raises AssertionError for a kind that is another layer's."""
    for check in family_of(lab).expected(lab):
        assert check.kind in KINDS, check
        yield check


def parts(lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> Iterator[Part]:
    """See Family.parts; raises AssertionError for a tag that is not of the cloud's."""
    for part in family_of(lab).parts(lab, node, checks, facts):
        # Other families' parts have other tags: an answer must not be mixed up with theirs.
        assert part.tag.startswith(TAGS), part.tag
        yield part


def judge(lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts) -> Iterator[CheckResult]:
    """See Family.judge."""
    yield from family_of(lab).judge(lab, checks, answer, facts)


FAMILY = Family(layers=(Layer.SERVICES, Layer.CLOUD), expected=expected, parts=parts, judge=judge)
