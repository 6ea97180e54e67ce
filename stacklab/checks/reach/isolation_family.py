"""Checks of layer `isolation`: what must not be reached is not.

A check passes only where the host proves that its targets answer somebody; where the
host gets no answer either, the check says so and has a warning.
"""

from __future__ import annotations

import errno
import math
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
    checks_of_kind,
)
from stacklab.model.lab import NIC, Lab, Network, NetworkMode, Node
from stacklab.model.stack import Mirrors
from stacklab.nodes.protocol import NOT_FOUND, Answer, Part
from stacklab.tools.network import fping

SEPARATE = "isolation.separate"  # the part
_NAMED = 3  # of those reached: more would not tell more
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
    # Of a network that somebody else made, nobody knows who is on it, or whether it is closed.
    ours = [network for network in lab.networks if network.is_made_by_us and network.name in used]
    for network in ours:
        if not network.has_host:
            yield Check(
                kind=CheckKind.HOST_APART,
                node=HOST,
                network=network.name,
                device=network.bridge,
            )
    for node in lab.nodes:
        yield from _checks_of_node(node, ours)


def _checks_of_node(node: Node, networks: Sequence[Network]) -> Iterator[Check]:
    """Yield a check per network that the node is not on, and per NIC on an isolated one."""
    for network in networks:
        if node.nic_on(network.name) is None:
            yield Check(kind=CheckKind.SEPARATE, node=node.name, network=network.name)
    isolated = {network.name for network in networks if network.mode is NetworkMode.ISOLATED}
    for nic in node.nics:
        if nic.network in isolated:
            yield Check(
                kind=CheckKind.NO_TRANSIT,
                node=node.name,
                network=nic.network,
                device=nic.device,
            )


def gather(lab: Lab, checks: Sequence[Check], mirrors: Mirrors) -> Needs:
    """See Family.gather: the host has to know who answers at all."""
    separate_networks = {check.network for check in checks_of_kind(checks, CheckKind.SEPARATE)}
    pings: list[str] = []
    for name in sorted(separate_networks):
        if lab.network(name).has_host:
            pings += isolation.addresses(lab, name)
    needs = Needs(pings=tuple(pings))
    if checks_of_kind(checks, CheckKind.NO_TRANSIT):
        needs = needs.joined(outside.host_needs(lab, mirrors))
        needs = needs.joined(Needs(places=isolation.candidates(lab)))
    return needs


def parts(lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> Iterator[Part]:
    """See Family.parts."""
    addresses: list[str] = []
    for check in checks_of_kind(checks, CheckKind.SEPARATE):
        addresses += isolation.addresses(lab, check.network)
    if addresses:
        # fping sends its pings 10 ms apart, two to each address.
        limit_s = 10 + 0.03 * len(addresses) + ways.slower_s(lab)
        yield Part(tag=SEPARATE, shell=_ping_line(lab, addresses), limit_s=limit_s)
    ways_out: list[tuple[NIC, Target]] = []
    for check in checks_of_kind(checks, CheckKind.NO_TRANSIT):
        nic = isolation.nic_of(lab, check)
        targets, _ = isolation.targets(lab, node, nic, facts)
        ways_out += [(nic, target) for target in targets]
    if ways_out:
        yield transit.transit_part(lab, ways_out)


def _ping_line(lab: Lab, addresses: Iterable[str]) -> str:
    """Return fping's command line on a node; a patience of its own, see _PATIENCE_MS."""
    patience_ms = math.ceil(_PATIENCE_MS + ways.slower_ms(lab))
    return f"fping -q -C 2 -i 10 -p 300 -t {patience_ms} {' '.join(addresses)}"


def judge(lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts) -> Iterator[CheckResult]:
    """See Family.judge."""
    pings = fping.parse("\n".join(answer.of(SEPARATE).lines))
    for check in checks:
        if check.kind is CheckKind.SEPARATE:
            yield _judge_separate(lab, check, answer, pings, facts)
        elif check.kind is CheckKind.NO_TRANSIT:
            yield _judge_transit(lab, check, answer, facts)


def _judge_separate(
    lab: Lab,
    check: Check,
    answer: Answer,
    pings: Mapping[str, fping.Ping],
    facts: Facts,
) -> CheckResult:
    """Judge that a node reaches nobody on a network that it is not on."""
    addresses = isolation.addresses(lab, check.network)
    verdict = _verdict_on_pings(check, addresses, answer, pings)
    if verdict is None:
        is_heard = facts.alive & addresses.keys()
        verdict = Verdict.passed(f"none of {len(addresses)} answers")
        if lab.network(check.network).has_host and not is_heard:
            detail = f"nothing is proved: none of {len(addresses)} answers the host either"
            verdict = Verdict.warned(Reason.UNPROVED, detail)
    # A warning is about the host's pings, so the node's own output would tell nothing.
    is_shown = verdict.status is not CheckStatus.WARNED
    output = answer.of(SEPARATE).text if is_shown else ""
    return verdict.of(check, command=_ping_line(lab, addresses), output=output)


def _verdict_on_pings(
    check: Check,
    names: Mapping[str, str],
    answer: Answer,
    pings: Mapping[str, fping.Ping],
) -> Verdict | None:
    """Judge a node's pings by themselves; None where nobody answered any of them.

    `names` are the addresses that were pinged, each with its node's name.
    """
    tried = [address for address in names if address in pings]
    reached = [address for address in tried if pings[address].received]
    if reached:
        shown = ", ".join(f"{names[address]} {address}" for address in reached[:_NAMED])
        if len(reached) > _NAMED:
            shown += f" and {len(reached) - _NAMED} more"
        return Verdict.failed(Reason.REACHED, f"reached, though it lacks a NIC there: {shown}")
    code = answer.of(SEPARATE).code
    if code in (None, NOT_FOUND) or len(tried) < len(names):
        return answers.without_result(answer, SEPARATE, "fping", check.node)
    return None


def _judge_transit(lab: Lab, check: Check, answer: Answer, facts: Facts) -> CheckResult:
    """Judge that no packet gets through the host, out of one NIC of the node."""
    network = lab.network(check.network)
    nic = isolation.nic_of(lab, check)
    targets, untried = isolation.targets(lab, lab.node(check.node), nic, facts)
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
    verdict, to_retry = _judge_trial(network, trial, answer, untried)
    command = ""
    if to_retry:
        command = transit.retry_line(network, nic, trial.device, to_retry)
    return verdict.of(check, command=command, output=said.text)


def _judge_trial(
    network: Network, trial: Trial, answer: Answer, untried: Sequence[str]
) -> tuple[Verdict, Target | None]:
    """Judge the ways that a node tried; returns the one to try again as well."""
    opened = _reached_targets(trial)
    if opened:
        titles = ", ".join(target.title for target in opened)
        detail = f"gets through the host ({network.host_address}) to {titles}"
        return Verdict.failed(Reason.REACHED, detail), opened[0]
    # Nothing is said of ways that no packet went, nor where the script did not get to its end.
    code = answer.of(TRANSIT).code
    if not trial.lost and code is not None:
        return _judge_unopened(network, trial, untried)
    to_retry = trial.lost[0] if trial.lost else None
    missing = answers.missing(answer, TRANSIT)
    if missing is not None:
        return missing, to_retry
    detail = f"{_UNSENT} (exit code {code})" if code else _UNSENT
    return Verdict.error(Reason.NOT_SENT, detail), to_retry


def _reached_targets(trial: Trial) -> list[Target]:
    """List the targets that were reached, on ways that packets are known to have gone."""
    return [
        target for target, code in trial.codes.items() if code == "0" and target not in trial.lost
    ]


def _judge_unopened(
    network: Network, trial: Trial, untried: Sequence[str]
) -> tuple[Verdict, Target | None]:
    """Judge ways that packets did go, and of which none is open; returns the way to try again."""
    odd = _first_odd(trial)
    if odd is not None:
        error = transit.error_text(trial.codes[odd])
        detail = f"{error} on the way to {odd.title}: the host refuses in other words"
        return Verdict.error(Reason.UNREADABLE, detail), odd
    silent = [target for target, code in trial.codes.items() if code == SILENT]
    refusals = {transit.error_text(code) for code in trial.codes.values() if code != SILENT}
    # On a network without the host nobody is there to refuse: silence is all that can be had.
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
    missing = f"neither an answer from {silent.title} nor the host's refusal"
    return Verdict.warned(Reason.NOT_REFUSED, f"{missing}: packets may get out")


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
