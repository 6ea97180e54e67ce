"""Services of a cloud that runs as units of systemd: one check per unit that the kit names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from stacklab.checks.family import Facts, Family
from stacklab.checks.result import Check, CheckKind, CheckResult, CheckStatus, Layer, Reason
from stacklab.foreign import printable
from stacklab.installers import kit_of
from stacklab.model.lab import Lab, Node
from stacklab.nodes.protocol import Answer, Part, is_number

_TAG = "cloud.units"
_PROPERTIES = "Id,ActiveState,SubState,NRestarts,Result"
_LIMIT_S = 30.0


def units_of(lab: Lab, node: Node) -> tuple[str, ...]:
    """Return the units that have to run on a node."""
    kit = kit_of(lab.stack.installer)
    return kit.units(lab, node) if kit else ()


def expected(lab: Lab) -> Iterator[Check]:
    """See Family.expected."""
    for node in lab.nodes:
        for unit in units_of(lab, node):
            yield Check(kind=CheckKind.SERVICE, node=node.name, subject=unit)


def parts(lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> Iterator[Part]:
    """See Family.parts."""
    units = " ".join(check.subject for check in checks if check.node == node.name)
    if units:
        shell = f"systemctl show --property={_PROPERTIES} {units}"
        yield Part(tag=_TAG, shell=shell, limit_s=_LIMIT_S)


def judge(lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts) -> Iterator[CheckResult]:
    """See Family.judge."""
    states = _parse(answer.of(_TAG).lines)
    for check in checks:
        yield _judge_unit(check, states.get(check.subject), answer)


def _judge_unit(check: Check, state: Mapping[str, str] | None, answer: Answer) -> CheckResult:
    command = f"systemctl status --no-pager {check.subject}"
    if state is None:
        why = answer.missing(_TAG) or "systemctl said nothing of it"
        return CheckResult(
            check=check,
            status=CheckStatus.ERROR,
            reason=Reason.NO_ANSWER,
            detail=why,
            command=command,
        )
    restarts = state.get("NRestarts", "0")
    is_active = state.get("ActiveState") == "active"
    words = f"{state.get('ActiveState', '?')} ({state.get('SubState', '?')})"
    if is_number(restarts) and int(restarts) > 0:
        words += f", restarted {int(restarts)} times"
    if not is_active and state.get("Result", "success") != "success":
        words += f", it ended with {state['Result']}"
    return CheckResult(
        check=check,
        status=CheckStatus.PASSED if is_active else CheckStatus.FAILED,
        reason=Reason.OK if is_active else Reason.NOT_RUNNING,
        detail=printable(words),
        command=command,
    )


def _parse(lines: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """Return each unit's properties; blank lines between units are not there any more."""
    states: dict[str, dict[str, str]] = {}
    properties: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition("=")
        # systemctl gives the properties in an order of its own: one that is there already begins
        # the next unit.
        if key in properties:
            properties = {}
        properties[key] = value
        if "Id" in properties:
            states[properties["Id"]] = properties
    return states


FAMILY = Family(layers=(Layer.SERVICES,), expected=expected, parts=parts, judge=judge)
