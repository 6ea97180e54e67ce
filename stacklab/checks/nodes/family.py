"""Checks of layer `nodes`: each node is as declared, seen from inside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from stacklab.checks import answers
from stacklab.checks.family import Facts, Family, Overview
from stacklab.checks.nodes import clocks
from stacklab.checks.nodes import look as nodes_look
from stacklab.checks.nodes import machine as nodes_machine
from stacklab.checks.nodes import network as nodes_network
from stacklab.checks.nodes.look import Look
from stacklab.checks.result import (
    Check,
    CheckKind,
    CheckResult,
    Layer,
    Reason,
    Verdict,
    checks_of_kind,
)
from stacklab.model.lab import Lab, Node, NodeKind
from stacklab.model.state import NodeState
from stacklab.nodes.protocol import NOT_FOUND, TIMED_OUT, Answer, Part, Phase
from stacklab.tools import ssh

_BOOT_MARGIN_S = 2.0  # of /proc/uptime itself, and of a line's way to the host
_SUDO_LIMIT_S = 8
_LOOK = "nodes.look"
_HOSTNAME = Part(
    tag="nodes.hostname",
    shell='read -r name </proc/sys/kernel/hostname; echo "$name"',
    phase=Phase.FACTS,
)
# sudo looks its own host's name up: on a node where nobody answers that, it would wait.
_USER = Part(
    tag="nodes.user",
    shell=f'id -un; timeout {_SUDO_LIMIT_S} sudo -n true; echo "sudo $?"',
    phase=Phase.FACTS,
    limit_s=_SUDO_LIMIT_S + 2.0,
)
# What has a part of its own; the look at the node is one part for many kinds.
_PARTS = (
    (CheckKind.HOSTNAME, _HOSTNAME),
    (CheckKind.USER, _USER),
    (CheckKind.CLOCK, clocks.CLOCK),
    (CheckKind.CLOCK, clocks.LATER),
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
        access = node.access
        yield Check(kind=CheckKind.STATE, node=node.name)
        yield Check(
            kind=CheckKind.LOGIN,
            node=node.name,
            target=node.name,
            network=access.network,
            address=str(access.address.ip),
            device=access.device,
        )
        for kind in (CheckKind.USER, CheckKind.HOSTNAME, CheckKind.UPTIME, *_MACHINE):
            if node.kind is NodeKind.VM or not kind.traits.is_of_vms:
                yield Check(kind=kind, node=node.name)
        if node.kind is NodeKind.VM:
            for disk in node.disks:
                kind = CheckKind.FURTHER_DISK
                yield Check(kind=kind, node=node.name, subject=disk.serial)
        for nic in node.nics:
            yield Check(
                kind=CheckKind.NIC,
                node=node.name,
                network=nic.network,
                address=str(nic.address.ip),
                device=nic.device,
            )
        yield Check(kind=CheckKind.ROUTES, node=node.name)
        yield Check(kind=CheckKind.CLOCK, node=node.name)


def parts(lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> Iterator[Part]:
    """See Family.parts."""
    kinds = {check.kind for check in checks}
    shell = nodes_look.shell(kinds)
    if shell:
        yield Part(tag=_LOOK, shell=shell, phase=Phase.FACTS)
    for kind, part in _PARTS:
        if kind in kinds:
            yield part


def judge(lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts) -> Iterator[CheckResult]:
    """See Family.judge; the mesh judges logins, since a login is the session itself."""
    look = nodes_look.parse(answer.of(_LOOK).lines)
    for check in checks:
        if check.kind is CheckKind.HOSTNAME:
            yield _judge_hostname(check, answer)
        elif check.kind is CheckKind.USER:
            yield _judge_user(check, answer)
        elif check.kind in nodes_look.COMMANDS:
            yield _judge_look(lab, check, answer, look, facts)


def _judge_look(lab: Lab, check: Check, answer: Answer, look: Look, facts: Facts) -> CheckResult:
    """Judge a check by what the node said of itself.

    A look that was cut off counts for nothing: what is missing might have been on its way.
    """
    command = nodes_look.COMMANDS[check.kind]
    missing = answers.missing(answer, _LOOK)
    if missing is not None:
        return missing.of(check, command=command)
    node = lab.node(check.node)
    if check.kind is CheckKind.UPTIME:
        heard_at = answer.of(_LOOK).heard_at
        uptime_s = nodes_machine.uptime_s(node, look)
        verdict = judge_uptime(uptime_s, heard_at, facts.answered_at)
    elif check.kind is CheckKind.NIC:
        nic = next(nic for nic in node.nics if nic.device == check.device)
        verdict = nodes_network.judge_nic(nic, look)
    elif check.kind is CheckKind.FURTHER_DISK:
        disk = next(disk for disk in node.disks if disk.serial == check.subject)
        verdict = nodes_machine.judge_further_disk(disk, look)
    elif check.kind is CheckKind.ROUTES:
        verdict = nodes_network.judge_routes(lab, node, look)
    else:
        judge_machine = _MACHINE[check.kind]
        verdict = judge_machine(node, look)
    return verdict.of(check, command=command, output=look.text(check.kind))


def judge_uptime(
    uptime_s: float | None, heard_at: float, answered_at: float | None = None
) -> Verdict:
    """Judge since when a node is up, by the host's clock: the node's own may have been set.

    `answered_at` is when `lab.up` saw it answer last. A node that booted later has lost
    what ran on it.
    """
    if uptime_s is None:
        return Verdict.error(Reason.NO_ANSWER, "the node did not tell how long it is up")
    # By the host's clock on both sides: a node's own may be hours off before it is set.
    booted_at = heard_at - uptime_s
    since = f"up since {_utc_text(booted_at)}"
    if answered_at is None or booted_at <= answered_at + _BOOT_MARGIN_S:
        return Verdict.passed(since)
    detail = f"booted again: {since}, lab.up saw it answer at {_utc_text(answered_at)}"
    return Verdict.warned(Reason.BOOTED_AGAIN, detail)


def _utc_text(at: float) -> str:
    """Write a time in UTC, whatever number a node made of it."""
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):  # an uptime that no machine has
        return f"{at:.0f} s after 1970"


def _judge_hostname(check: Check, answer: Answer) -> CheckResult:
    """Judge that the node has the name that the spec gives it; its domain does not matter."""
    missing = answers.missing(answer, _HOSTNAME.tag)
    if missing is not None:
        return missing.of(check, command="hostname")
    name = answer.of(_HOSTNAME.tag).text.strip()
    short_name, _, _ = name.partition(".")
    if short_name == check.node:
        verdict = Verdict.passed(name)
    else:
        verdict = Verdict.failed(Reason.WRONG_NAME, f"calls itself {name!r}")
    return verdict.of(check, command="hostname", output=name)


def _judge_user(check: Check, answer: Answer) -> CheckResult:
    """Judge whose session it is, if the node said so."""
    said = answer.of(_USER.tag)
    verdict = answers.missing(answer, _USER.tag) or _verdict_on_user(said.lines)
    return verdict.of(check, command="id -un; sudo -n true", output=said.text)


def _verdict_on_user(lines: Sequence[str]) -> Verdict:
    """Judge that the session is the declared user's, and that sudo asks no password.

    The first line is the user's name, the last one sudo's exit code, and between them is
    what sudo complained of.
    """
    name = code = ""
    if lines:
        name = lines[0].strip()
        code = lines[-1].removeprefix("sudo ")
    if name != ssh.USER:
        whose = name[:40] or "nobody"
        return Verdict.failed(Reason.WRONG_USER, f"the session is {whose}'s, not {ssh.USER}'s")
    if code == "0":
        return Verdict.passed(f"{name}, with sudo")
    if code == str(NOT_FOUND):
        return Verdict.failed(Reason.NO_SUDO, "sudo is not installed")
    if code == str(TIMED_OUT):
        return Verdict.failed(Reason.NO_SUDO, f"sudo did not end in {_SUDO_LIMIT_S} s")
    # For instance `sudo: a password is required`.
    complaint = "; ".join(lines[1:-1])[:200] or f"ended with {code}"
    return Verdict.failed(Reason.NO_SUDO, f"sudo -n true: {complaint}")


def together(lab: Lab, checks: Sequence[Check], overview: Overview) -> Iterator[CheckResult]:
    """See Family.together: the states of the domains, and the clocks of the nodes."""
    for check in checks_of_kind(checks, CheckKind.STATE):
        if check in overview.due:
            yield _judge_state(check, overview)
    # All clocks, be they due or not: a node that is heard later may show another to be wrong.
    clock_checks = checks_of_kind(checks, CheckKind.CLOCK)
    yield from clocks.judge(clock_checks, overview.measured)


def _judge_state(check: Check, overview: Overview) -> CheckResult:
    """Judge that the node runs, in the words of its provider where it does not."""
    state = overview.states.get(check.node)
    if state is NodeState.RUNNING:
        return Verdict.passed(f"is {state}").of(check)
    detail, command = overview.about_state(check.node, state)
    if state is None:
        verdict = Verdict.error(Reason.NO_ANSWER, detail)
    else:
        verdict = Verdict.failed(Reason.NOT_RUNNING, detail)
    return verdict.of(check, command=command)


def measure(lab: Lab, node: Node, answer: Answer) -> float | None:
    """See Family.measure: how far the node's clock is ahead of the host's."""
    return clocks.offset_s(answer, node.access.impairment.delay_ms)


FAMILY = Family(
    layers=(Layer.NODES,),
    expected=expected,
    parts=parts,
    judge=judge,
    measure=measure,
    together=together,
)
