"""Checks of layer `custom`: what the spec's own list asks for.

Each is a command to the node: a port is bash's /dev/tcp, a page is a few lines of
Python. The node tries it as often as it may, and sends what the last try wrote only
when that did not pass. The user's text travels as one quoted word, and each line that it
writes comes back behind a number and a bar.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stacklab.checks import answers, custom_shell
from stacklab.checks.family import Facts, Family
from stacklab.checks.result import (
    Check,
    CheckKind,
    CheckResult,
    CheckStatus,
    Layer,
    Reason,
    Verdict,
)
from stacklab.installers.facts import name_nic
from stacklab.model.checks import CustomCheck, CustomKind
from stacklab.model.lab import NIC, Lab, Node
from stacklab.nodes.protocol import NOT_FOUND, Answer, Part, is_number
from stacklab.tools import ssh

_KINDS = {
    CustomKind.COMMAND: CheckKind.COMMAND,
    CustomKind.PORT: CheckKind.TCP,
    CustomKind.HTTP: CheckKind.HTTP,
}
_AT_ONCE = 4  # on one node: an emulated one that starts twenty at once is late with all of them
_NOT_RUN = (125, 126, NOT_FOUND)  # timeout(1)'s codes where it could not start anything
_DETAIL_MAX = 200  # characters of what a program wrote


@dataclass(frozen=True, slots=True)
class _Attempts:
    """The end of a node's tries; `code` is None when the last one had to be ended."""

    is_passed: bool
    is_text_missing: bool
    tries: int
    code: int | None
    timeout_code: int
    output: str


def expected(lab: Lab) -> Iterator[Check]:
    """See Family.expected."""
    for custom in lab.checks.custom:
        end = _port_end(lab, custom)
        for name in custom.nodes:
            yield _custom_check(custom, lab.node(name), end)


def _port_end(lab: Lab, custom: CustomCheck) -> tuple[Node, NIC] | None:
    """Return the node that a port is asked of, and its NIC; None where it is not of the lab."""
    if custom.kind is not CustomKind.PORT:
        return None
    for node in lab.nodes:
        if custom.host == node.name:
            return node, name_nic(lab, node)
        for nic in node.nics:
            if custom.host == str(nic.address.ip):
                return node, nic
    return None


def _custom_check(custom: CustomCheck, node: Node, end: tuple[Node, NIC] | None) -> Check:
    """Return the check that a node does; `end` is the node and NIC that it goes to, if any."""
    kind = _KINDS[custom.kind]
    if end is None:
        return Check(kind=kind, node=node.name, subject=custom.name)
    target, nic = end
    # The node may not be on that network: then its packets leave by the first NIC.
    own_nic = node.nic_on(nic.network) or node.access
    return Check(
        kind=kind,
        node=node.name,
        target=target.name,
        network=nic.network,
        address=str(nic.address.ip),
        device=own_nic.device,
        subject=custom.name,
    )


def parts(lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> Iterator[Part]:
    """See Family.parts; a part has several checks, one after the other."""
    by_name = _numbered_checks(lab)
    lanes: dict[str, list[str]] = {}
    limits: dict[str, float] = {}
    for check in checks:
        number, custom = by_name[check.subject]
        tag = _lane_tag(number)
        lanes.setdefault(tag, [custom_shell.ATTEMPT]).append(
            custom_shell.attempt_line(check, number, custom)
        )
        limits[tag] = limits.get(tag, 0.0) + custom_shell.longest_s(custom)
    for tag, lines in lanes.items():
        yield Part(tag=tag, shell="\n".join(lines), limit_s=limits[tag])


def _numbered_checks(lab: Lab) -> dict[str, tuple[int, CustomCheck]]:
    """Return each custom check by its name, with its place in the spec."""
    return {custom.name: (number, custom) for number, custom in enumerate(lab.checks.custom)}


def _lane_tag(number: int) -> str:
    """Return the part that a check is done in: few parts, so that few checks run at once."""
    return f"custom.{number % _AT_ONCE}"


def judge(lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts) -> Iterator[CheckResult]:
    """See Family.judge."""
    by_name = _numbered_checks(lab)
    for check in checks:
        number, custom = by_name[check.subject]
        tag = _lane_tag(number)
        ended = _read_attempts(answer.of(tag).lines, number)
        if ended is None:
            broken = Verdict.error(Reason.UNREADABLE, "its answer is broken")
            verdict = answers.missing(answer, tag) or broken
            output = answer.of(tag).text
        else:
            verdict = _with_tries(custom, ended, _judge_attempts(check, custom, ended))
            output = ended.output
        yield verdict.of(check, command=custom_shell.command_line(check, custom), output=output)


def _with_tries(custom: CustomCheck, ended: _Attempts, verdict: Verdict) -> Verdict:
    """Return the verdict with the number of tries, as a warning where the author wants that."""
    status, detail = verdict.status, verdict.detail
    if ended.tries > 1:
        detail += f" (try {ended.tries} of {custom.retries + 1})"
    if status is CheckStatus.FAILED and custom.is_warning:
        status = CheckStatus.WARNED
    return Verdict(
        status=status,
        reason=verdict.reason,
        detail=detail,
        about=verdict.about,
    )


def _read_attempts(lines: Sequence[str], number: int) -> _Attempts | None:
    """Take apart what `attempt` wrote of one check; None if it is missing or is something else."""
    mark = f"{number} "
    own_lines = [line.removeprefix(mark) for line in lines if line.startswith(mark)]
    if not own_lines:
        return None
    head, *rest = own_lines
    words = head.split()
    if len(words) != 5 or words[0] != "ended":
        return None
    _, outcome, tries, code, timeout_code = words
    if not is_number(tries) or not is_number(timeout_code):
        return None
    # The bar, and a blank behind it, keep a user's words apart from ours.
    output = [line.removeprefix("|").removeprefix(" ") for line in rest]
    return _Attempts(
        is_passed=outcome == "yes",
        is_text_missing=outcome == "text",
        tries=int(tries),
        code=int(code) if is_number(code) else None,
        timeout_code=int(timeout_code),
        output="\n".join(output).strip("\n"),
    )


def _judge_attempts(check: Check, custom: CustomCheck, ended: _Attempts) -> Verdict:
    """Judge how the last of a node's tries ended."""
    if ended.is_passed:
        return Verdict.passed(_passed_detail(custom))
    if ended.code is None:
        return _judge_unended(check, custom, ended)
    if ended.is_text_missing:
        return Verdict.failed(Reason.NO_TEXT, f"`{custom.text}` is not in what it wrote")
    match custom.kind:
        case CustomKind.COMMAND:
            detail = f"exit code {ended.code}, not {custom.exit_code}"
            last = _last_line(ended.output)
            if last:
                detail += f": {last}"
            return Verdict.failed(Reason.WRONG_CODE, detail)
        case CustomKind.PORT:
            detail = ssh.classify(ended.output) or _last_line(ended.output)
            return Verdict.failed(answers.connection(ended.output), detail)
        case CustomKind.HTTP:
            return _judge_page(check, ended)


def _judge_unended(check: Check, custom: CustomCheck, ended: _Attempts) -> Verdict:
    """Judge a try without an exit code of its own: it never began, or had to be ended."""
    if ended.timeout_code in _NOT_RUN:
        detail = f"timeout or bash can't be run on {check.node}: {_last_line(ended.output)}"
        return Verdict.error(Reason.PROGRAM_MISSING, detail, about="bash")
    what = "no end" if custom.kind is CustomKind.COMMAND else "no answer"
    return Verdict.failed(Reason.TIMED_OUT, f"{what} within {custom.timeout_s:g} s")


def _judge_page(check: Check, ended: _Attempts) -> Verdict:
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
    _, _, last = text.strip().rpartition("\n")
    return _on_one_line(last)


def _on_one_line(text: str) -> str:
    """Make a program's words fit for one line of a table."""
    printable = (char if char.isprintable() else " " for char in text)
    return "".join(printable).strip()[:_DETAIL_MAX]


FAMILY = Family(layers=(Layer.CUSTOM,), expected=expected, parts=parts, judge=judge)
