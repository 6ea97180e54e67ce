"""Services of a cloud that run as units of systemd: one check per unit that the kit names.

A kit whose installer names the units itself gives a pattern; one check is about all that fit it.
"""

from __future__ import annotations

import fnmatch
import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from stacklab.checks.family import Facts, Family
from stacklab.checks.result import Check, CheckKind, CheckResult, CheckStatus, Layer, Reason
from stacklab.foreign import printable
from stacklab.installers import kit_of
from stacklab.model.lab import Lab, Node
from stacklab.nodes.protocol import Answer, Part, is_number

_TAG = "cloud.units"
_PROPERTIES = "Id,ActiveState,SubState,NRestarts,Result,ActiveEnterTimestampMonotonic"
_LIMIT_S = 30.0
# Lines of ours among systemd's: seconds since the boot, and the last words of a unit.
_NOW = "Now"
_SAID = "Said"
# A unit that was restarted is not believed before; it may end again.
_JUST_STARTED_S = 30
_MANY_RESTARTS = 3
_SETTLED_S = 600
_SEVERITY = (CheckStatus.PASSED, CheckStatus.WARNED, CheckStatus.FAILED)
# Names that may stand in a command to type: the node gives them.
_UNIT = re.compile(r"[\w@.:-]{1,100}", re.ASCII)
_MICROSECONDS = re.compile(r"\d{1,18}", re.ASCII)
# The journal is asked only for units that have ended at least once. Each of its lines is marked, so
# that no service's words can be taken for a property.
_LOOK = """\
said() {{
  sudo -n journalctl -q -o cat -n 40 -u "$1" | grep -aiE 'error|fail|fatal|exception|exited' |
    tail -n 1 | cut -c 1-200 | sed "s/^/Said=$1 /"
}}
shown=$(systemctl show --property={properties} {units})
printf '%s\\n' "$shown"
read -r now _ </proc/uptime
echo "Now=${{now%.*}}"
# An empty line is behind each unit.
printf '%s\\n\\n' "$shown" | while IFS='=' read -r key value; do
  case $key in
    Id) unit=$value ;;
    NRestarts) restarts=$value ;;
    ActiveState) state=$value ;;
    '')
      [ "$state" = active ] && [ "${{restarts:-0}}" = 0 ] || said "$unit"
      unit='' restarts='' state=''
      ;;
  esac
done
"""


def expected(lab: Lab) -> Iterator[Check]:
    """See Family.expected."""
    kit = kit_of(lab.stack.installer)
    if kit is None:
        return
    for node in lab.nodes:
        for unit in kit.units(lab, node):
            yield Check(kind=CheckKind.SERVICE, node=node.name, subject=unit)
        for pattern in kit.unit_patterns(lab, node):
            yield Check(kind=CheckKind.SERVICES, node=node.name, subject=pattern)


def parts(lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> Iterator[Part]:
    """See Family.parts."""
    units = [check.subject for check in checks if check.node == node.name]
    if units:
        shell = _LOOK.format(properties=_PROPERTIES, units=shlex.join(units))
        yield Part(tag=_TAG, shell=shell, limit_s=_LIMIT_S)


def judge(lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts) -> Iterator[CheckResult]:
    """See Family.judge."""
    states = _parse(answer.of(_TAG).lines)
    for check in checks:
        if check.kind is CheckKind.SERVICES:
            yield _judge_units(check, states, answer)
        else:
            yield _judge_unit(check, states.get(check.subject), answer)


def _judge_units(
    check: Check, states: Mapping[str, Mapping[str, str]], answer: Answer
) -> CheckResult:
    """Judge all units that fit a pattern by the worst of them."""
    command = f"systemctl list-units --all --no-pager {shlex.quote(check.subject)}"
    silent = answer.missing(_TAG)
    fitting = [unit for unit in fnmatch.filter(states, check.subject) if _UNIT.fullmatch(unit)]
    if silent:
        status, reason, words = CheckStatus.ERROR, Reason.NO_ANSWER, silent
    elif not fitting:
        status, reason = CheckStatus.FAILED, Reason.NOT_RUNNING
        words = "there is no such unit: the installer has not come so far"
    else:
        verdicts = {unit: _verdict(states[unit]) for unit in fitting}
        worst = max(verdicts, key=lambda unit: _SEVERITY.index(verdicts[unit][0]))
        status, reason = verdicts[worst]
        words = f"{len(fitting)} run"
        if reason is not Reason.OK:
            words = f"{worst}: {_words(states[worst], is_well=False)}"
            command = f"systemctl status --no-pager {worst}"
    return CheckResult(
        check=check, status=status, reason=reason, detail=printable(words), command=command
    )


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
    status, reason = _verdict(state)
    return CheckResult(
        check=check,
        status=status,
        reason=reason,
        detail=printable(_words(state, is_well=reason is Reason.OK)),
        command=command,
    )


def _verdict(state: Mapping[str, str]) -> tuple[CheckStatus, Reason]:
    if state.get("ActiveState") != "active":
        return CheckStatus.FAILED, Reason.NOT_RUNNING
    restarts, active_s = _restarts(state), _active_s(state)
    # Between two crashes a unit is active, too.
    if restarts and active_s < _JUST_STARTED_S:
        return CheckStatus.FAILED, Reason.RESTARTING
    if restarts >= _MANY_RESTARTS and active_s < _SETTLED_S:
        return CheckStatus.WARNED, Reason.RESTARTING
    return CheckStatus.PASSED, Reason.OK


def _words(state: Mapping[str, str], *, is_well: bool) -> str:
    words = f"{state.get('ActiveState', '?')} ({state.get('SubState', '?')})"
    restarts, active_s = _restarts(state), _active_s(state)
    if restarts:
        words += f", restarted {restarts} times"
        if math.isfinite(active_s):
            words += f", active for {active_s:.0f} s"
    result = state.get("Result", "success")
    if state.get("ActiveState") != "active" and result != "success":
        words += f", it ended with {result}"
    if not is_well and state.get(_SAID):
        words += f": {state[_SAID]}"
    return words


def _restarts(state: Mapping[str, str]) -> int:
    number = state.get("NRestarts", "")
    return int(number) if is_number(number) else 0


def _active_s(state: Mapping[str, str]) -> float:
    """Return for how long a unit is active; for ever if the node does not say it."""
    since, now = state.get("ActiveEnterTimestampMonotonic", ""), state.get(_NOW, "")
    # Microseconds since the boot are more digits than `is_number` takes.
    if _MICROSECONDS.fullmatch(since) is None or not is_number(now):
        return math.inf
    return max(0.0, int(now) - int(since) / 1_000_000)


def _parse(lines: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """Return each unit's properties; blank lines between units are not there any more."""
    states: dict[str, dict[str, str]] = {}
    properties: dict[str, str] = {}
    now = ""
    for line in lines:
        key, _, value = line.partition("=")
        if key == _NOW:
            now = value
            continue
        if key == _SAID:
            unit, _, words = value.partition(" ")
            # Its last line counts.
            states.setdefault(unit, {})[_SAID] = words
            continue
        # systemctl gives the properties in an order of its own: one that is there already begins
        # the next unit.
        if key in properties:
            properties = {}
        properties[key] = value
        if "Id" in properties:
            states[properties["Id"]] = properties
    for state in states.values():
        state[_NOW] = now
    return {unit: state for unit, state in states.items() if "ActiveState" in state}


FAMILY = Family(layers=(Layer.SERVICES,), expected=expected, parts=parts, judge=judge)
