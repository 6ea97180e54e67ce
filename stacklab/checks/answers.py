"""Verdicts that all families share: an answer that is missing, and what ssh complained of."""

from __future__ import annotations

from stacklab.checks.result import Reason, Verdict
from stacklab.nodes.protocol import NOT_FOUND, Answer
from stacklab.tools import ssh


def missing(answer: Answer, tag: str) -> Verdict | None:
    """Return why the answer of a part is missing; None if it is there."""
    why = answer.missing(tag)
    if not why:
        return None
    reason = Reason.NO_ANSWER if answer.is_complete else Reason.SESSION_ENDED
    return Verdict.error(reason, why)


def not_installed(program: str, node: str) -> Verdict:
    """Return the verdict where a node lacks a program."""
    detail = f"{program} is not installed on {node}"
    return Verdict.error(Reason.PROGRAM_MISSING, detail, about=program)


def without_result(answer: Answer, tag: str, program: str, node: str) -> Verdict:
    """Return why a part's program gave no result for a check."""
    code = answer.of(tag).code
    if code == NOT_FOUND:
        return not_installed(program, node)
    # A session that broke off explains it better than the program's own end.
    verdict = missing(answer, tag)
    if verdict is not None:
        return verdict
    detail = f"{program} gave no result (exit code {code})"
    return Verdict.error(Reason.PROGRAM_FAILED, detail, about=program)


def connection(text: str, otherwise: Reason = Reason.NO_CONNECTION) -> Reason:
    """Return the reason for a connection that failed, by what ssh or a shell wrote about it."""
    trouble = ssh.trouble(text)
    if trouble is None:
        return otherwise
    # ssh's words for trouble are a part of the reasons' words.
    return Reason(trouble.value)
