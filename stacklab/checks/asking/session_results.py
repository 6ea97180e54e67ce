"""Results that a node's session itself gives: it logged in, was not reached, or was unreadable."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from stacklab.checks.result import (
    Check,
    CheckKind,
    CheckResult,
    CheckStatus,
    Reason,
    Verdict,
)
from stacklab.nodes import protocol
from stacklab.nodes.session import Reply


def unreadable_results(checks: Sequence[Check], why: str, reply: Reply) -> tuple[CheckResult, ...]:
    """Return an error for each check of a node whose answer broke a judge."""
    verdict = Verdict.error(Reason.UNREADABLE, why)
    return tuple(verdict.of(check, command=str(reply.command)) for check in checks)


def unanswered_result(check: Check) -> CheckResult:
    """Return the result of a check that no family judged."""
    return Verdict.error(Reason.NO_ANSWER, "nobody could tell").of(check)


def as_node_off(result: CheckResult) -> CheckResult:
    """Return the result with the true reason where the session ended since the node went off."""
    if result.reason is not Reason.SESSION_ENDED:
        return result
    return dataclasses.replace(result, reason=Reason.NODE_OFF)


def login_result(login: Check, reply: Reply) -> CheckResult:
    """Return the result of a login that worked; its command is kept where the session broke."""
    return CheckResult(
        check=login,
        status=CheckStatus.PASSED,
        reason=Reason.OK,
        detail="logged in",
        elapsed_s=reply.result.elapsed_s,
        command="" if reply.answer.is_complete else str(reply.command),
        output=reply.result.stderr[-protocol.OUTPUT_MAX :],
    )


def unreached_results(
    checks: Sequence[Check], reason: Reason, why: str, reply: Reply | None = None
) -> tuple[CheckResult, ...]:
    """Return the results of a node without a session: the login failed, and no other was tried."""
    # A node that is off is the reason for all; why a login failed is that of the login alone.
    others = reason if reason is Reason.NODE_OFF else Reason.NOT_REACHED
    results: list[CheckResult] = []
    for check in checks:
        if check.kind is not CheckKind.LOGIN:
            results.append(Verdict.error(others, f"not reached: {why}").of(check))
            continue
        verdict = Verdict.failed(reason, why)
        if reply is None:
            results.append(verdict.of(check))
            continue
        output = reply.result.stderr.strip()
        result = verdict.of(check, command=str(reply.command), output=output)
        results.append(dataclasses.replace(result, elapsed_s=reply.result.elapsed_s))
    return tuple(results)
