"""A layer of checks for the recipe's test: each node greets by its own name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stacklab.checks.family import Facts, Family
from stacklab.checks.result import Check, CheckKind, CheckResult, CheckStatus, Layer, Reason
from stacklab.model.lab import Lab, Node
from stacklab.nodes.protocol import Answer, Part

TAG = "greeting.hello"


def expected(lab: Lab) -> Iterator[Check]:
    """See Family.expected."""
    for node in lab.nodes:
        yield Check(kind=CheckKind.GREETING, node=node.name)


def parts(lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> Iterator[Part]:
    """See Family.parts."""
    yield Part(tag=TAG, shell="echo hello from $(hostname)")


def judge(lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts) -> Iterator[CheckResult]:
    """See Family.judge."""
    is_fine = answer.of(TAG).code == 0
    for check in checks:
        yield CheckResult(
            check=check,
            status=CheckStatus.PASSED if is_fine else CheckStatus.ERROR,
            reason=Reason.OK if is_fine else Reason.NO_ANSWER,
            detail=answer.of(TAG).text,
        )


FAMILY = Family(layers=(Layer.GREETING,), expected=expected, parts=parts, judge=judge)
