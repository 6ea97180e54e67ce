"""Checks of layer `outside`: what a stack needs of the world is reached, or nothing of it is.

A node that fails to reach a place is only to blame if the host reaches it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from stacklab.checks import answers
from stacklab.checks.family import Facts, Family, Needs
from stacklab.checks.impairments import ways
from stacklab.checks.reach import dials, outside, outside_places
from stacklab.checks.reach.dials import DIALS, DialAnswers
from stacklab.checks.reach.outside_places import PACKAGES
from stacklab.checks.result import Check, CheckKind, CheckResult, Layer, Reason, Verdict
from stacklab.model.lab import Lab, Node
from stacklab.model.stack import Mirrors
from stacklab.nodes.protocol import NOT_FOUND, TIMED_OUT, Answer, Part
from stacklab.tools import ssh

DNS = "dns"  # subject of CLOSED: names of the outside are not known, either


def expected(lab: Lab) -> Iterator[Check]:
    """See Family.expected."""
    for node in lab.nodes:
        wanted = outside.places(lab, node)
        if not outside_places.is_open(lab, node):
            wanted = tuple(place for place in wanted if outside_places.is_inside(lab, place))
            yield Check(kind=CheckKind.CLOSED, node=node.name)
            yield Check(kind=CheckKind.CLOSED, node=node.name, subject=DNS)
        elif any(_has_name(place) for place in wanted):
            yield Check(kind=CheckKind.DNS, node=node.name)
        for place in wanted:
            yield Check(kind=CheckKind.REACH, node=node.name, subject=place)


def _has_name(place: str) -> bool:
    return place == PACKAGES or not outside_places.is_address(outside_places.name_of(place))


def gather(lab: Lab, checks: Sequence[Check], mirrors: Mirrors) -> Needs:
    """See Family.gather."""
    return outside.host_needs(lab, mirrors) if checks else Needs()


def parts(lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> Iterator[Part]:
    """See Family.parts."""
    lines = [line for check in checks for line in _script_lines(lab, node, check, facts)]
    needs_mirror = {(CheckKind.REACH, PACKAGES), (CheckKind.DNS, "")}
    has_mirror = PACKAGES in outside.places(lab, node) and not needs_mirror.isdisjoint(
        (check.kind, check.subject) for check in checks
    )
    if lines or has_mirror:
        yield dials.dial_part(
            lines,
            has_mirror=has_mirror,
            has_silent=_has_silent(checks, facts),
            slower_s=ways.slower_s(lab),
        )


def _script_lines(lab: Lab, node: Node, check: Check, facts: Facts) -> Iterator[str]:
    """Yield the lines of the script for one check."""
    match check.kind, check.subject:
        case CheckKind.CLOSED, subject if subject == DNS:
            for name in outside_places.known_names(facts):
                yield dials.look_line([name])
        case CheckKind.CLOSED, _:
            for place in outside_places.controls(lab, facts):
                yield dials.dial_line("closed", place)
        case CheckKind.DNS, _:
            # One that is known is enough: each costs a process.
            mirror = dials.MIRROR if PACKAGES in outside.places(lab, node) else ""
            names = _names_to_ask(lab, node, facts, mirror)
            if names:
                yield dials.look_line(list(names))
        case CheckKind.REACH, subject if subject != PACKAGES:
            yield dials.dial_line("tcp", facts.instead.get(subject, subject))


def _has_silent(checks: Sequence[Check], facts: Facts) -> bool:
    """Return True if some silence is waited for till the end.

    That is of what does not answer the host either, or must not answer here.
    """
    for check in checks:
        if check.kind is CheckKind.CLOSED:
            return True
        if check.kind is CheckKind.REACH:
            tried = facts.tried.get(facts.instead.get(check.subject, check.subject))
            if tried is not None and tried.is_timed_out:
                return True
    return False


def _names_to_ask(lab: Lab, node: Node, facts: Facts, mirror: str) -> dict[str, str]:
    """Return what a node has to know by name, each with its place, in the order to ask.

    Names that the host knows come first, then the mirror, then the others.
    """
    ranked: list[tuple[int, str]] = [(1, mirror)] if mirror else []
    for wanted in outside.places(lab, node):
        place = facts.instead.get(wanted, wanted)
        if place != PACKAGES and _has_name(place):
            tried = facts.tried.get(place)
            is_known = tried is not None and bool(tried.address)
            ranked.append((0 if is_known else 2, place))
    names: dict[str, str] = {}
    for _, place in sorted(ranked, key=lambda pair: pair[0]):
        names.setdefault(outside_places.name_of(place), place)
    return names


def judge(lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts) -> Iterator[CheckResult]:
    """See Family.judge."""
    dialled = dials.read_dials(answer.of(DIALS).lines)
    for check in checks:
        verdict = _without_answer(lab, check, answer, dialled, facts)
        if verdict is not None:
            # Only what bash itself complained of is worth reading here.
            is_broken = verdict.reason in (Reason.PROGRAM_MISSING, Reason.PROGRAM_FAILED)
            yield verdict.of(check, output=answer.of(DIALS).text if is_broken else "")
        elif check.kind is CheckKind.REACH:
            yield _judge_reach(check, dialled, facts)
        elif check.kind is CheckKind.DNS:
            yield _judge_dns(lab, check, dialled, facts)
        else:
            yield _judge_closed(check, dialled)


def _without_answer(
    lab: Lab, check: Check, answer: Answer, dialled: DialAnswers, facts: Facts
) -> Verdict | None:
    """Return the verdict on a check that was never tried; None if it was."""
    code = answer.of(DIALS).code
    if check.kind is CheckKind.CLOSED and not _controls(lab, check, facts):
        return Verdict.warned(
            Reason.UNPROVED, "nothing outside answers the host either: nothing is proved"
        )
    if code is None:
        return answers.missing(answer, DIALS)
    if code == NOT_FOUND:
        detail = f"bash or timeout is not installed on {check.node}"
        return Verdict.error(Reason.PROGRAM_MISSING, detail, about="bash")
    if code not in (0, TIMED_OUT):
        detail = f"bash ended with {code} on {check.node}"
        return Verdict.error(Reason.PROGRAM_FAILED, detail, about="bash")
    is_late = code == TIMED_OUT
    if _is_tried(lab, check, dialled, facts, is_late=is_late):
        return None
    if is_late:
        detail = f"{check.node} was too busy: it did not get to try"
        return Verdict.error(Reason.TOO_BUSY, detail)
    return Verdict.error(Reason.UNREADABLE, "its answer is broken")


def _controls(lab: Lab, check: Check, facts: Facts) -> Sequence[str]:
    """Return what a closed node must not know, or reach."""
    if check.subject == DNS:
        return outside_places.known_names(facts)
    return list(outside_places.controls(lab, facts))


def _is_tried(lab: Lab, check: Check, dialled: DialAnswers, facts: Facts, *, is_late: bool) -> bool:
    """Return True if a check's silence says something: what was never tried proves nothing."""
    tried = dialled.tried_places(is_late=is_late)
    if check.kind is CheckKind.CLOSED:
        return tried.issuperset(_controls(lab, check, facts))
    if check.kind is CheckKind.REACH:
        place = _dialled_place(check, dialled, facts)
        if not place:  # the node found no mirror, if it had the time to look for one
            return not is_late
        return place in tried
    names = _names_to_ask(lab, lab.node(check.node), facts, dialled.packages)
    if not names:
        return not is_late
    return not tried.isdisjoint(names)


def _dialled_place(check: Check, dialled: DialAnswers, facts: Facts) -> str:
    """Return the place that a node connected to for a check; "" if its sources name no mirror."""
    if check.subject == PACKAGES:
        return dialled.packages
    return facts.instead.get(check.subject, check.subject)


def _judge_reach(check: Check, dialled: DialAnswers, facts: Facts) -> CheckResult:
    """Judge that a place answered the node; it is to blame only where the host gets through."""
    place = _dialled_place(check, dialled, facts)
    if not place:
        verdict = Verdict.warned(Reason.NO_MIRROR, "its sources name no mirror of packages")
        return verdict.of(check, command="apt-cache policy")
    code, text = dialled.tcp.get(place, (TIMED_OUT, ""))
    if code == 0:
        return Verdict.passed(f"{place} answers").of(check)
    if code == TIMED_OUT:
        reason, why = Reason.TIMED_OUT, "timed out"
    else:
        reason = answers.connection(text)
        why = ssh.classify(text) or f"no connection: {text[:80]}"
    host = facts.of(place)
    if host is not None and host.is_open:
        verdict = Verdict.failed(reason, f"{place}, which the host reaches: {why}")
    else:
        at_host = host.why_not if host else "did not try"
        detail = f"neither the host ({at_host}) nor {check.node} ({why}) reaches {place}"
        verdict = Verdict.warned(Reason.HOST_FAILS_TOO, detail)
    return verdict.of(check, command=dials.retry_line(place), output=text)


def _judge_dns(lab: Lab, check: Check, dialled: DialAnswers, facts: Facts) -> CheckResult:
    """Judge that names outside are known; the node is to blame only where the host knows them."""
    asked = _names_to_ask(lab, lab.node(check.node), facts, dialled.packages)
    # One name that is known is enough: then names are.
    for name in asked:
        code, text = dialled.dns.get(name, (TIMED_OUT, ""))
        if code == 0:
            return Verdict.passed(f"{name} is {text.partition(' ')[0]}").of(check)
    if not asked:
        return Verdict.warned(
            Reason.UNPROVED, "nothing is proved: the lab needs nothing by name"
        ).of(check)
    tried_by_host = {name: facts.of(place) for name, place in asked.items()}
    for name, tried in tried_by_host.items():
        if tried is not None and tried.address:
            reason, why = Reason.TIMED_OUT, "no answer"
            if name in dialled.dns:
                reason, why = Reason.NAME_UNKNOWN, "not known"
            verdict = Verdict.failed(reason, f"{name}, which the host knows: {why}")
            return verdict.of(check, command=_lookup_line(name))
    has_tried = any(tried is not None for tried in tried_by_host.values())
    whose = "the host" if has_tried else "the host (did not try)"
    detail = f"neither {whose} nor {check.node} knows {', '.join(asked)}"
    verdict = Verdict.warned(Reason.HOST_FAILS_TOO, detail)
    return verdict.of(check, command=_lookup_line(next(iter(asked))))


def _lookup_line(name: str) -> str:
    return f"getent ahostsv4 {shlex.quote(name)}"


def _judge_closed(check: Check, dialled: DialAnswers) -> CheckResult:
    """Judge that a closed node knows no name outside, or that no place outside answers it."""
    if check.subject == DNS:
        known = {name: text for name, (code, text) in dialled.dns.items() if code == 0}
        leaks = [f"{name} is {text.partition(' ')[0]}" for name, text in known.items()]
        commands = [_lookup_line(name) for name in known]
    else:
        answering = [place for place, (code, _) in dialled.closed.items() if code == 0]
        leaks = [f"{place} answers" for place in answering]
        commands = [dials.retry_line(place) for place in answering]
    if leaks:
        verdict = Verdict.failed(Reason.REACHED, f"it is not: {', '.join(leaks)}")
        return verdict.of(check, command=commands[0])
    detail = "reaches nothing outside"
    if check.subject == DNS:
        detail = "knows no name outside"
    return Verdict.passed(detail).of(check)


FAMILY = Family(layers=(Layer.OUTSIDE,), expected=expected, parts=parts, judge=judge, gather=gather)
