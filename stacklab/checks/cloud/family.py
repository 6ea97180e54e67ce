"""Checks of layers `services` and `cloud`: the cloud's services run, and it does its work.

A stack's kit names the units that have to run (services.py). A stack that has more to check has a
Family of its own in CLOUDS, under its installer. Its checks are of the kinds SERVICE and CLOUD, and
the tags of its parts begin with `cloud.`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stacklab.checks.cloud import services
from stacklab.checks.family import Facts, Family
from stacklab.checks.result import Check, CheckKind, CheckResult, Layer
from stacklab.model.lab import Lab, Node
from stacklab.model.stack import Installer
from stacklab.nodes.protocol import Answer, Part

KINDS = (CheckKind.SERVICE, CheckKind.CLOUD)
TAGS = "cloud."

CLOUDS: dict[Installer, Family] = {}


def family_of(lab: Lab) -> Family:
    """Return the family that checks this lab's cloud: that of its units, unless it has its own."""
    return CLOUDS.get(lab.stack.installer, services.FAMILY)


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
