"""Verdicts on custom checks: read how a node's tries have ended, and judge the last one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stacklab.checks import answers
from stacklab.checks.result import (
    Check,
    CheckStatus,
    Reason,
    Verdict,
)
from stacklab.model.checks import CustomCheck, CustomKind
from stacklab.nodes.protocol import NOT_FOUND, is_number
from stacklab.tools import ssh

_DETAIL_MAX = 200  # characters of what a program wrote
_NOT_RUN = (125, 126, NOT_FOUND)  # timeout(1)'s codes where it could not start anything


@dataclass(frozen=True, slots=True)
class Attempts:
    """The end of a node's tries; `code` is None when the last one had to be ended."""

    is_passed: bool
    is_text_missing: bool
    tries: int
    code: int | None
    timeout_code: int
    output: str


def with_tries(custom: CustomCheck, ended: Attempts, verdict: Verdict) -> Verdict:
    """Return the verdict with the number of tries, as a warning where the author wants that."""
    status, detail = verdict.status, verdict.detail
    if ended.tries > 1:
        detail += f" (try {ended.tries} of {custom.retries + 1})"
    if status is CheckStatus.FAILED and custom.is_warning:
        status = CheckStatus.WARNED
    return Verdict(status, verdict.reason, detail, verdict.about)


def read_attempts(lines: Sequence[str], number: int) -> Attempts | None:
    """Take apart what `attempt` wrote of one check; None if it is missing or is something else."""
    mark = f"{number} "
    own_lines = [line.removeprefix(mark) for line in lines if line.startswith(mark)]
    # Ours comes first; what the last try wrote follows, behind a bar.
    words = own_lines[0].split() if own_lines else []
    if len(words) != 5 or words[0] != "ended":
        return None
    _, outcome, tries, code, timeout_code = words
    if not is_number(tries) or not is_number(timeout_code):
        return None
    output = [line.removeprefix("|").removeprefix(" ") for line in own_lines[1:]]
    return Attempts(
        is_passed=outcome == "yes",
        is_text_missing=outcome == "text",
        tries=int(tries),
        code=int(code) if is_number(code) else None,
        timeout_code=int(timeout_code),
        output="\n".join(output).strip("\n"),
    )


def judge_attempts(check: Check, custom: CustomCheck, ended: Attempts) -> Verdict:
    """Judge how the last of a node's tries ended."""
    last = _last_line(ended.output)
    if ended.is_passed:
        return Verdict.passed(_passed_detail(custom))
    if ended.code is None and ended.timeout_code in _NOT_RUN:
        detail = f"timeout or bash can't be run on {check.node}: {last}"
        return Verdict.error(Reason.PROGRAM_MISSING, detail, about="bash")
    if ended.code is None:
        what = "no end" if custom.kind is CustomKind.COMMAND else "no answer"
        return Verdict.failed(Reason.TIMED_OUT, f"{what} within {custom.timeout_s:g} s")
    if ended.is_text_missing:
        return Verdict.failed(Reason.NO_TEXT, f"`{custom.text}` is not in what it wrote")
    match custom.kind:
        case CustomKind.COMMAND:
            complaint = f": {last}" if last else ""
            detail = f"exit code {ended.code}, not {custom.exit_code}{complaint}"
            return Verdict.failed(Reason.WRONG_CODE, detail)
        case CustomKind.PORT:
            detail = ssh.classify(ended.output) or last
            return Verdict.failed(answers.connection(ended.output), detail)
        case CustomKind.HTTP:
            return _judge_page(check, ended)


def _judge_page(check: Check, ended: Attempts) -> Verdict:
    """Judge what our Python wrote about a page: its first line says what is wrong."""
    if ended.code == NOT_FOUND:
        return answers.not_installed("python3", check.node)
    # Another exit code is Python's own, for instance where it lacks its module ssl.
    if ended.code != 1 or ended.output.startswith("Traceback"):
        detail = f"python3 on {check.node} could not try: {_last_line(ended.output)}"
        return Verdict.error(Reason.PROGRAM_FAILED, detail, about="python3")
    first_line, _, _ = ended.output.partition("\n")
    return Verdict.failed(Reason.WRONG_PAGE, _on_one_line(first_line))


def _passed_detail(custom: CustomCheck) -> str:
    """Return the sentence of a check that passed."""
    match custom.kind:
        case CustomKind.COMMAND:
            return f"exit code {custom.exit_code}"
        case CustomKind.PORT:
            return "connected"
        case CustomKind.HTTP:
            return f"status {custom.http_status}"


def _last_line(text: str) -> str:
    """Return the last line of what a program wrote: mostly its complaint."""
    return _on_one_line(text.strip().rpartition("\n")[2])


def _on_one_line(text: str) -> str:
    """Make a program's words fit for one line of a table."""
    return "".join(char if char.isprintable() else " " for char in text).strip()[:_DETAIL_MAX]
