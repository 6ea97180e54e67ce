"""Checks of layer `isolation`: what must not be reached is not.

A check passes only where the host proves that its targets answer somebody; where the
host gets no answer either, the check says so and has a warning.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

from stacklab.checks import answers
from stacklab.checks.family import Facts, Family, Needs
from stacklab.checks.impairments import ways
from stacklab.checks.reach import apart, isolation, outside, transit
from stacklab.checks.reach.isolation import Target
from stacklab.checks.reach.transit import SILENT, TRANSIT, Trial
from stacklab.checks.result import (
    HOST,
    Check,
    CheckKind,
    CheckResult,
    CheckStatus,
    Layer,
    Reason,
    Verdict,
)
from stacklab.model.lab import NIC, Lab, Network, NetworkMode, Node
from stacklab.model.stack import Mirrors
from stacklab.nodes.protocol import NOT_FOUND, Answer, Part
from stacklab.tools import fping

SEPARATE = "isolation.separate"  # the part
_NAMED = 3
# Longer than any round trip under load, and shorter than fping's own patience: on every healthy
# lab it is waited for in vain.
_PATIENCE_MS = 1000
# A kernel refuses six packets of one sender at once, then one each second (icmp_ratelimit).
_REFUSED_AT_ONCE = 4
# How a host refuses to let packets through.
_REFUSALS = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES})
_UNSENT = "no packet could be sent by way of the host"


def expected(lab: Lab) -> Iterator[Check]:
    """See Family.expected."""
    used = {nic.network for node in lab.nodes for nic in node.nics}
    ours = [network for network in lab.networks if network.is_made_by_us and network.name in used]
    for network in ours:
        if not network.has_host:
            yield Check(
                kind=CheckKind.HOST_APART, node=HOST, network=network.name, device=network.bridge
            )
    for node in lab.nodes:
        yield from _of_node(node, ours)


def _of_node(node: Node, networks: Sequence[Network]) -> Iterator[Check]:
    isolated = {network.name for network in networks if network.mode is NetworkMode.ISOLATED}
    for network in networks:
        if node.nic_on(network.name) is None:
            yield Check(kind=CheckKind.SEPARATE, node=node.name, network=network.name)
    for nic in node.nics:
        if nic.network in isolated:
            yield Check(
                kind=CheckKind.NO_TRANSIT, node=node.name, network=nic.network, device=nic.device
            )


def gather(lab: Lab, checks: Sequence[Check], mirrors: Mirrors) -> Needs:
    """See Family.gather: the host has to know who answers at all."""
    pings: list[str] = []
    for name in sorted({check.network for check in checks if check.kind is CheckKind.SEPARATE}):
        if lab.network(name).has_host:
            pings += isolation.addresses(lab, name)
    needs = Needs(pings=tuple(pings))
    if any(check.kind is CheckKind.NO_TRANSIT for check in checks):
        needs = needs.joined(outside.needs(lab, mirrors))
        needs = needs.joined(Needs(places=isolation.candidates(lab)))
    return needs


def parts(lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> Iterator[Part]:
    """See Family.parts."""
    separate = [check.network for check in checks if check.kind is CheckKind.SEPARATE]
    addresses = [address for network in separate for address in isolation.addresses(lab, network)]
    if addresses:
        limit = 10 + 0.03 * len(addresses) + ways.slower_s(lab)
        yield Part(tag=SEPARATE, shell=_ping_line(lab, addresses), limit_s=limit)
    ways_out: list[tuple[NIC, Target]] = []
    for check in checks:
        if check.kind is CheckKind.NO_TRANSIT:
            nic = isolation.nic_of(lab, check)
            ways_out += [(nic, target) for target in isolation.targets(lab, node, nic, facts)[0]]
    if ways_out:
        yield transit.part(lab, ways_out)


def _ping_line(lab: Lab, addresses: Iterable[str]) -> str:
    patience = math.ceil(_PATIENCE_MS + ways.slower_ms(lab))
    return f"fping -q -C 2 -i 10 -p 300 -t {patience} {' '.join(addresses)}"


def judge(lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts) -> Iterator[CheckResult]:
    """See Family.judge."""
    pings = fping.parse("\n".join(answer.of(SEPARATE).lines))
    for check in checks:
        if check.kind is CheckKind.SEPARATE:
            verdict = _judge_separate(lab, check, answer, pings, facts)
            command = _ping_line(lab, isolation.addresses(lab, check.network))
            # A warning is about the host's pings, so the node's own output would tell nothing.
            is_shown = verdict.status is not CheckStatus.WARNED
            output = answer.of(SEPARATE).text if is_shown else ""
            yield verdict.of(check, command=command, output=output)
        elif check.kind is CheckKind.NO_TRANSIT:
            yield _judge_transit(lab, check, answer, facts)


def _judge_separate(
    lab: Lab, check: Check, answer: Answer, pings: Mapping[str, fping.Ping], facts: Facts
) -> Verdict:
    code, addresses = answer.of(SEPARATE).code, isolation.addresses(lab, check.network)
    reached = [each for each in addresses if each in pings and pings[each].received]
    if reached:
        names = ", ".join(f"{addresses[each]} {each}" for each in reached[:_NAMED])
        more = f" and {len(reached) - _NAMED} more" if len(reached) > _NAMED else ""
        return Verdict.failed(Reason.REACHED, f"reached, though it has no NIC there: {names}{more}")
    if code in (None, NOT_FOUND) or any(each not in pings for each in addresses):
        return answers.without_result(answer, SEPARATE, "fping", check.node)
    if lab.network(check.network).has_host and not facts.alive & addresses.keys():
        detail = f"nothing is proved: none of {len(addresses)} answers the host either"
        return Verdict.warned(Reason.UNPROVED, detail)
    return Verdict.passed(f"none of {len(addresses)} answers")


def _judge_transit(lab: Lab, check: Check, answer: Answer, facts: Facts) -> CheckResult:
    node, network, nic = (
        lab.node(check.node),
        lab.network(check.network),
        isolation.nic_of(lab, check),
    )
    targets, untried = isolation.targets(lab, node, nic, facts)
    said = answer.of(TRANSIT)
    trial = transit.read(network, nic, targets, said.lines)
    target: Target | None = None  # the way to try again
    if not targets:
        verdict = _unproved(untried)
    elif unable := transit.unable(nic, said.lines):
        device, why = unable
        verdict = Verdict.error(
            Reason.NOT_SENT, f"{device} {transit.UNABLE[why]}: {_UNSENT}", about=device
        )
        return verdict.of(check, command=f"ip addr show dev {device}", output=said.text)
    elif opened := _opened(trial):
        target = opened[0]
        names = ", ".join(each.title for each in opened)
        detail = f"gets through the host ({network.host_address}) to {names}"
        verdict = Verdict.failed(Reason.REACHED, detail)
    elif trial.lost or said.code is None:
        target = next(iter(trial.lost), None)
        code = f" (exit code {said.code})" if said.code else ""
        unsent = Verdict.error(Reason.NOT_SENT, f"{_UNSENT}{code}")
        verdict = answers.missing(answer, TRANSIT) or unsent
    else:
        verdict, target = _judge_closed(network, trial, untried)
    command = transit.retry_line(network, nic, trial.device, target) if target else ""
    return verdict.of(check, command=command, output=said.text)


def _opened(trial: Trial) -> list[Target]:
    """List the targets that were reached, on ways that packets are known to have gone."""
    return [
        target for target, code in trial.codes.items() if code == "0" and target not in trial.lost
    ]


def _judge_closed(
    network: Network, trial: Trial, untried: Sequence[str]
) -> tuple[Verdict, Target | None]:
    """Judge ways that packets did go, and of which none is open; returns the way to try again."""
    known = {SILENT, *map(str, _REFUSALS)}
    odd = next((target for target, code in trial.codes.items() if code not in known), None)
    if odd is not None:
        error = os.strerror(int(trial.codes[odd])).lower()
        detail = f"{error} on the way to {odd.title}: that is no refusal of the host's"
        return Verdict.error(Reason.UNREADABLE, detail), odd
    refusals = {os.strerror(int(code)).lower() for code in trial.codes.values() if code != SILENT}
    silent = next((target for target, code in trial.codes.items() if code == SILENT), None)
    if silent and network.has_host and trial.is_mute:
        detail = f"the host ({network.host_address}) does not answer ARP: {_UNSENT}"
        return Verdict.error(Reason.NOT_SENT, detail), silent
    # Where few packets were sent, the kernel's limit can't explain a missing refusal.
    is_limited = bool(refusals) and len(trial.codes) > _REFUSED_AT_ONCE
    if silent and network.has_host and not is_limited:
        answer = f"neither an answer from {silent.title} nor the host's refusal"
        return Verdict.warned(Reason.NOT_REFUSED, f"{answer}: packets may get out"), silent
    if untried:
        return _unproved(untried), None
    goals = ", ".join(target.goal for target in trial.codes)
    how = ", ".join(sorted(refusals)) or "no answer"
    return Verdict.passed(f"no way to {goals}: {how}"), None


def _unproved(goals: Iterable[str]) -> Verdict:
    detail = f"nothing is proved of {', '.join(goals)}: there is nothing that answers the host"
    return Verdict.warned(Reason.UNPROVED, detail)


FAMILY = Family(
    layers=(Layer.ISOLATION,),
    expected=expected,
    parts=parts,
    judge=judge,
    gather=gather,
    of_host=apart.judge,
    witnesses=isolation.witnesses,
)
