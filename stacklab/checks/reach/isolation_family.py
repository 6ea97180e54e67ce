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
        if network.has_host:
            continue
        yield Check(
            kind=CheckKind.HOST_APART, node=HOST, network=network.name, device=network.bridge
        )
    for node in lab.nodes:
        yield from _checks_of_node(node, ours)


def _checks_of_node(node: Node, networks: Sequence[Network]) -> Iterator[Check]:
    """Yield a check per network that the node is not on, and per NIC on an isolated one."""
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
        needs = needs.joined(outside.host_needs(lab, mirrors))
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
        yield transit.transit_part(lab, ways_out)


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
    """Judge that a node reaches nobody on a network that it is not on."""
    code, addresses = answer.of(SEPARATE).code, isolation.addresses(lab, check.network)
    unanswered = [address for address in addresses if address not in pings]
    reached = [address for address in addresses if address in pings and pings[address].received]
    if reached:
        names = ", ".join(f"{addresses[address]} {address}" for address in reached[:_NAMED])
        if len(reached) > _NAMED:
            names += f" and {len(reached) - _NAMED} more"
        return Verdict.failed(Reason.REACHED, f"reached, though it lacks a NIC there: {names}")
    if code in (None, NOT_FOUND) or unanswered:
        return answers.without_result(answer, SEPARATE, "fping", check.node)
    if lab.network(check.network).has_host and not facts.alive & addresses.keys():
        detail = f"nothing is proved: none of {len(addresses)} answers the host either"
        return Verdict.warned(Reason.UNPROVED, detail)
    return Verdict.passed(f"none of {len(addresses)} answers")


def _judge_transit(lab: Lab, check: Check, answer: Answer, facts: Facts) -> CheckResult:
    """Judge that no packet gets through the host, out of one NIC of the node."""
    node, network = lab.node(check.node), lab.network(check.network)
    nic = isolation.nic_of(lab, check)
    targets, untried = isolation.targets(lab, node, nic, facts)
    said = answer.of(TRANSIT)
    if not targets:
        return _unproved(untried).of(check, output=said.text)
    unable = transit.why_unable(nic, said.lines)
    if unable:
        device, why = unable
        detail = f"{device} {transit.UNABLE[why]}: {_UNSENT}"
        verdict = Verdict.error(Reason.NOT_SENT, detail, about=device)
        return verdict.of(check, command=f"ip addr show dev {device}", output=said.text)
    trial = transit.read_trial(network, nic, targets, said.lines)
    verdict, target = _judge_trial(network, trial, answer, untried)
    command = transit.retry_line(network, nic, trial.device, target) if target else ""
    return verdict.of(check, command=command, output=said.text)


def _judge_trial(
    network: Network, trial: Trial, answer: Answer, untried: Sequence[str]
) -> tuple[Verdict, Target | None]:
    """Judge the ways that a node tried; returns the one to try again as well."""
    opened = _reached_targets(trial)
    if opened:
        names = ", ".join(target.title for target in opened)
        detail = f"gets through the host ({network.host_address}) to {names}"
        return Verdict.failed(Reason.REACHED, detail), opened[0]
    code = answer.of(TRANSIT).code
    if trial.lost or code is None:
        detail = f"{_UNSENT} (exit code {code})" if code else _UNSENT
        unsent = Verdict.error(Reason.NOT_SENT, detail)
        return answers.missing(answer, TRANSIT) or unsent, next(iter(trial.lost), None)
    return _judge_unopened(network, trial, untried)


def _reached_targets(trial: Trial) -> list[Target]:
    """List the targets that were reached, on ways that packets are known to have gone."""
    reached = [target for target, code in trial.codes.items() if code == "0"]
    return [target for target in reached if target not in trial.lost]


def _judge_unopened(
    network: Network, trial: Trial, untried: Sequence[str]
) -> tuple[Verdict, Target | None]:
    """Judge ways that packets did go, and of which none is open; returns the way to try again."""
    odd = _first_odd(trial)
    if odd is not None:
        error = os.strerror(int(trial.codes[odd])).lower()
        detail = f"{error} on the way to {odd.title}: the host refuses in other words"
        return Verdict.error(Reason.UNREADABLE, detail), odd
    refusals = {os.strerror(int(code)).lower() for code in trial.codes.values() if code != SILENT}
    silent = [target for target, code in trial.codes.items() if code == SILENT]
    if silent and network.has_host:
        verdict = _judge_silence(network, trial, silent[0], has_refusals=bool(refusals))
        if verdict is not None:
            return verdict, silent[0]
    if untried:
        return _unproved(untried), None
    goals = ", ".join(target.goal for target in trial.codes)
    how = ", ".join(sorted(refusals)) or "no answer"
    return Verdict.passed(f"no way to {goals}: {how}"), None


def _first_odd(trial: Trial) -> Target | None:
    """Return a target that was neither silent nor refused in a way that a host refuses."""
    expected_codes = {SILENT, *map(str, _REFUSALS)}
    for target, code in trial.codes.items():
        if code not in expected_codes:
            return target
    return None


def _judge_silence(
    network: Network, trial: Trial, silent: Target, *, has_refusals: bool
) -> Verdict | None:
    """Judge a target that stayed silent on a network with a host, which should have refused.

    None where the silence is explained by the kernel's own limit.
    """
    if trial.is_mute:
        detail = f"the host ({network.host_address}) does not answer ARP: {_UNSENT}"
        return Verdict.error(Reason.NOT_SENT, detail)
    # Where few packets were sent, the kernel's limit can't explain a missing refusal.
    if has_refusals and len(trial.codes) > _REFUSED_AT_ONCE:
        return None
    answer = f"neither an answer from {silent.title} nor the host's refusal"
    return Verdict.warned(Reason.NOT_REFUSED, f"{answer}: packets may get out")


def _unproved(goals: Iterable[str]) -> Verdict:
    """Return the warning where nothing that must not be reached answers the host itself."""
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
