"""Checks of layer `nodes`: each node is as declared, seen from inside."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from stacklab.checks.family import Facts
from stacklab.checks.nodes import look as nodes_look
from stacklab.checks.nodes import machine as nodes_machine
from stacklab.checks.nodes import network as nodes_network
from stacklab.checks.nodes.look import Look
from stacklab.checks.nodes.machine import Verdict
from stacklab.checks.result import Check, CheckKind, CheckResult, CheckStatus
from stacklab.model.lab import Lab, Node
from stacklab.nodes.protocol import NOT_FOUND, OUTPUT_MAX, TIMED_OUT, Answer, Part, Phase, Said
from stacklab.tools import ssh

MOST_SKEW_S = 0.5
_BOOT_MARGIN_S = 2.0  # /proc/uptime's own, and the way of a line
_SUDO_LIMIT_S = 8
_LOOK = "nodes.look"
_HOSTNAME = Part(
    tag="nodes.hostname",
    shell='read -r name </proc/sys/kernel/hostname; echo "$name"',
    phase=Phase.FACTS,
)
# sudo looks its own host's name up, and a node without an answer would keep it waiting
_USER = Part(
    tag="nodes.user",
    shell=f'id -un; timeout {_SUDO_LIMIT_S} sudo -n true; echo "sudo $?"',
    phase=Phase.FACTS,
    limit_s=_SUDO_LIMIT_S + 2.0,
)
# After the other FACTS: what a cold node reads from its disk first, sed among it, is there by now.
CLOCK = Part(tag="nodes.clock", shell="date +%s.%N", phase=Phase.FACTS)
# Once more when no session is beginning any more: a busy host hears a line up to a second late.
_LATER = Part(tag="nodes.clock.later", shell="sleep 0.6; date +%s.%N", phase=Phase.PINGS)
_PARTS = (
    (CheckKind.HOSTNAME, _HOSTNAME),
    (CheckKind.USER, _USER),
    (CheckKind.CLOCK, CLOCK),
    (CheckKind.CLOCK, _LATER),
)
_MACHINE = {
    CheckKind.CPUS: nodes_machine.judge_cpus,
    CheckKind.MEMORY: nodes_machine.judge_memory,
    CheckKind.DISK: nodes_machine.judge_disk,
    CheckKind.ROOT: nodes_machine.judge_root,
    CheckKind.SWAP: nodes_machine.judge_swap,
}


def expected(lab: Lab) -> Iterator[Check]:
    """See Family.expected."""
    for node in lab.nodes:
        nic = node.access
        yield Check(kind=CheckKind.STATE, node=node.name)
        yield Check(
            kind=CheckKind.LOGIN,
            node=node.name,
            target=node.name,
            network=nic.network,
            address=str(nic.address.ip),
            device=nic.device,
        )
        for kind in (CheckKind.USER, CheckKind.HOSTNAME, CheckKind.UPTIME, *_MACHINE):
            yield Check(kind=kind, node=node.name)
        for nic in node.nics:
            address = str(nic.address.ip)
            yield Check(
                kind=CheckKind.NIC,
                node=node.name,
                network=nic.network,
                address=address,
                device=nic.device,
            )
        yield Check(kind=CheckKind.ROUTES, node=node.name)
        yield Check(kind=CheckKind.CLOCK, node=node.name)


def parts(lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> Iterator[Part]:
    """See Family.parts."""
    kinds = {check.kind for check in checks}
    if shell := nodes_look.shell(kinds):
        yield Part(tag=_LOOK, shell=shell, phase=Phase.FACTS)
    for kind, part in _PARTS:
        if kind in kinds:
            yield part


def judge(lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts) -> Iterator[CheckResult]:
    """See Family.judge; of logins, states and clocks the mesh knows more."""
    look = nodes_look.parse(answer.of(_LOOK).lines)
    for check in checks:
        match check.kind:
            case CheckKind.HOSTNAME:
                yield _judge_hostname(check, answer)
            case CheckKind.USER:
                yield _judge_user(check, answer)
            case kind if kind in nodes_look.COMMANDS:
                yield _judge_look(lab, check, answer, look, facts)


def _judge_look(lab: Lab, check: Check, answer: Answer, look: Look, facts: Facts) -> CheckResult:
    """Judge what was looked at; of a look that was cut off nothing counts: what is missing might be on its way."""
    command = nodes_look.COMMANDS[check.kind]
    if why := answer.missing(_LOOK):
        return CheckResult(check=check, status=CheckStatus.ERROR, detail=why, command=command)
    node = lab.node(check.node)
    if check.kind is CheckKind.UPTIME:
        status, detail = judge_uptime(look, answer.of(_LOOK).heard_at, facts.answered_at)
    elif check.kind is CheckKind.NIC:
        nic = next(nic for nic in node.nics if nic.device == check.device)
        status, detail = nodes_network.judge_nic(nic, look)
    elif check.kind is CheckKind.ROUTES:
        status, detail = nodes_network.judge_routes(lab, node, look)
    else:
        status, detail = _MACHINE[check.kind](node, look)
    if status is CheckStatus.PASSED:
        return CheckResult(check=check, status=status, detail=detail)
    return CheckResult(
        check=check,
        status=status,
        detail=detail,
        command=command,
        output=look.text(check.kind)[-OUTPUT_MAX:],
    )


def judge_uptime(look: Look, heard_at: float, answered_at: float | None = None) -> Verdict:
    """Since when it runs, by the host's clock: the node's own may have been set.

    `answered_at` is when `lab.up` saw it answer last: who booted later has lost what ran on it.
    """
    uptime_s = _seconds(look.first("uptime"))
    if uptime_s is None:
        return CheckStatus.ERROR, "the node did not tell how long it is up"
    booted_at = heard_at - uptime_s
    said = f"up since {_moment(booted_at)}"
    if answered_at is not None and booted_at > answered_at + _BOOT_MARGIN_S:
        return (
            CheckStatus.WARNED,
            f"booted again: {said}, lab.up saw it answer at {_moment(answered_at)}",
        )
    return CheckStatus.PASSED, said


def _moment(at: float) -> str:
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):  # an uptime that no machine has
        return f"{at:.0f} s after 1970"


def _seconds(word: str) -> float | None:
    try:
        found = float(word)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _judge_hostname(check: Check, answer: Answer) -> CheckResult:
    command = "hostname"
    if why := answer.missing(_HOSTNAME.tag):
        return CheckResult(check=check, status=CheckStatus.ERROR, detail=why, command=command)
    name = answer.of(_HOSTNAME.tag).text.strip()
    if name.partition(".")[0] == check.node:
        return CheckResult(check=check, status=CheckStatus.PASSED, detail=name)
    detail = f"calls itself {name!r}"
    return CheckResult(
        check=check, status=CheckStatus.FAILED, detail=detail, command=command, output=name
    )


def _judge_user(check: Check, answer: Answer) -> CheckResult:
    """The session is the declared user's, and sudo asks no password."""
    said = answer.of(_USER.tag)
    name = said.lines[0].strip() if said.lines else ""
    code = said.lines[-1].removeprefix("sudo ") if said.lines else ""
    status = CheckStatus.FAILED
    if why := answer.missing(_USER.tag):
        status, detail = CheckStatus.ERROR, why
    elif name != ssh.USER:
        detail = f"the session is {name[:40] or 'nobody'}'s, not {ssh.USER}'s"
    elif code == "0":
        return CheckResult(check=check, status=CheckStatus.PASSED, detail=f"{name}, with sudo")
    elif code == str(NOT_FOUND):
        detail = "sudo is not installed"
    elif code == str(TIMED_OUT):
        detail = f"sudo did not end in {_SUDO_LIMIT_S} s"
    else:
        detail = f"sudo -n true: {'; '.join(said.lines[1:-1])[:200] or f'ended with {code}'}"
    return CheckResult(
        check=check, status=status, detail=detail, command="id -un; sudo -n true", output=said.text
    )


def clock_offset_s(answer: Answer, delay_ms: float = 0.0) -> float | None:
    """How far a node's clock is ahead of the host's, in seconds; `delay_ms` is what the NIC to the host holds back.

    The way of a line only takes from it: of several looks the one that came fastest counts.
    """
    found = [_ahead_s(answer.of(part.tag)) for part in (CLOCK, _LATER)]
    return max((each + delay_ms / 1000 for each in found if each is not None), default=None)


def _ahead_s(said: Said) -> float | None:
    now = _seconds(said.lines[0]) if said.lines else None
    return None if now is None else now - said.heard_at


def judge_clocks(checks: Sequence[Check], offsets: Mapping[str, float]) -> Iterator[CheckResult]:
    """Compare the nodes' clocks, each by its offset from the host's.

    Of two that differ too much the one farther from the middle of all is to blame, the
    host's counting as one of them: so each such pair has a failure, and who agrees with
    most does not fail for the others.
    """
    middle = statistics.median([*offsets.values(), 0.0])
    off: dict[str, str] = {}
    for name, mine in offsets.items():
        nearer = [
            other
            for other, theirs in offsets.items()
            if abs(mine - theirs) >= MOST_SKEW_S and abs(mine - middle) >= abs(theirs - middle)
        ]
        if nearer:
            off[name] = max(nearer, key=lambda other: abs(mine - offsets[other]))
    agreeing = [offset for name, offset in offsets.items() if name not in off]
    for check in checks:
        own = offsets.get(check.node)
        status, command = CheckStatus.FAILED, CLOCK.shell
        if own is None:
            status, detail = CheckStatus.ERROR, "its clock was not read"
        elif check.node in off:
            detail = (
                _apart(own, offsets[off[check.node]], f"{off[check.node]}'s") + ": lab.up sets it"
            )
        elif len(offsets) == 1 and abs(own) >= MOST_SKEW_S:  # no other node was asked
            status, detail = CheckStatus.WARNED, _apart(own, 0.0, "the host's")
        else:
            skew = max(abs(own - other) for other in agreeing) if len(offsets) > 1 else abs(own)
            of = "the others'" if len(offsets) > 1 else "the host's"
            status, command, detail = CheckStatus.PASSED, "", f"within {skew:.2f} s of {of}"
        yield CheckResult(check=check, status=status, detail=detail, command=command)


def _apart(mine: float, theirs: float, whose: str) -> str:
    skew = mine - theirs
    return f"{abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} {whose}"
