"""Checks of layer `custom`: what the spec's own list asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stacklab.checks import answers
from stacklab.checks.custom.shell import ATTEMPT, attempt_line, command_line, longest_s
from stacklab.checks.custom.verdicts import judge_attempts, read_attempts, with_tries
from stacklab.checks.family import Facts, Family
from stacklab.checks.result import (
    Check,
    CheckKind,
    CheckResult,
    Layer,
    Reason,
    Verdict,
)
from stacklab.installers import name_nic
from stacklab.model.checks import CustomCheck, CustomKind
from stacklab.model.lab import NIC, Lab, Node
from stacklab.nodes.protocol import Answer, Part

_KINDS = {
    CustomKind.COMMAND: CheckKind.COMMAND,
    CustomKind.PORT: CheckKind.TCP,
    CustomKind.HTTP: CheckKind.HTTP,
}
_AT_ONCE = 4  # on one node: an emulated one that starts twenty at once is late with all of them


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
        lanes.setdefault(tag, [ATTEMPT]).append(attempt_line(check, number, custom))
        limits[tag] = limits.get(tag, 0.0) + longest_s(custom)
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
        ended = read_attempts(answer.of(tag).lines, number)
        if ended is None:
            broken = Verdict.error(Reason.UNREADABLE, "its answer is broken")
            verdict, output = answers.missing(answer, tag) or broken, answer.of(tag).text
        else:
            verdict = with_tries(custom, ended, judge_attempts(check, custom, ended))
            output = ended.output
        yield verdict.of(check, command=command_line(check, custom), output=output)


FAMILY = Family(layers=(Layer.CUSTOM,), expected=expected, parts=parts, judge=judge)
