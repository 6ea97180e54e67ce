"""Checks of layer `outside`: what a stack needs of the world is reached, or nothing of it is.

A node that fails to reach a place is only to blame if the host reaches it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stacklab.checks import answers
from stacklab.checks.family import Facts, Family, Needs
from stacklab.checks.impairments import ways
from stacklab.checks.reach import dials, outside, outside_places
from stacklab.checks.reach.dials import DIALS, DialAnswers
from stacklab.checks.reach.outside_places import PACKAGES
from stacklab.checks.result import (
    Check,
    CheckKind,
    CheckResult,
    Layer,
    Reason,
    Verdict,
    checks_of_kind,
)
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
            # A closed node can still need what is on the lab's own networks.
            wanted = tuple(place for place in wanted if outside_places.is_inside(lab, place))
            yield Check(kind=CheckKind.CLOSED, node=node.name)
            yield Check(kind=CheckKind.CLOSED, node=node.name, subject=DNS)
        elif any(_has_name(place) for place in wanted):
            yield Check(kind=CheckKind.DNS, node=node.name)
        for place in wanted:
            yield Check(kind=CheckKind.REACH, node=node.name, subject=place)


def _has_name(place: str) -> bool:
    """Return True if a place is known by a name, as all mirrors of packages are."""
    return place == PACKAGES or not outside_places.is_address(outside_places.name_of(place))


def gather(lab: Lab, checks: Sequence[Check], mirrors: Mirrors) -> Needs:
    """See Family.gather."""
    if not checks:
        return Needs()
    return outside.host_needs(lab, mirrors)


def parts(lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> Iterator[Part]:
    """See Family.parts."""
    lines: list[str] = []
    for check in checks:
        lines += _script_lines(lab, node, check, facts)
    has_mirror = _needs_mirror(lab, node, checks)
    if lines or has_mirror:
        yield dials.dial_part(
            lines,
            has_mirror=has_mirror,
            has_silent=_has_silent(checks, facts),
            slower_s=ways.slower_s(lab),
        )


def _needs_mirror(lab: Lab, node: Node, checks: Sequence[Check]) -> bool:
    """Return True if the node has to find the mirror in its own sources."""
    if PACKAGES not in outside.places(lab, node):
        return False
    asked = {(check.kind, check.subject) for check in checks}
    return (CheckKind.REACH, PACKAGES) in asked or (CheckKind.DNS, "") in asked


def _script_lines(lab: Lab, node: Node, check: Check, facts: Facts) -> list[str]:
    """Return the lines of the script for one check."""
    match check.kind, check.subject:
        case CheckKind.CLOSED, subject if subject == DNS:
            return [dials.look_line([name]) for name in outside_places.known_names(facts)]
        case CheckKind.CLOSED, _:
            return [
                dials.dial_line("closed", place) for place in outside_places.controls(lab, facts)
            ]
        case CheckKind.DNS, _:
            mirror = dials.MIRROR if PACKAGES in outside.places(lab, node) else ""
            names = _names_to_ask(lab, node, facts, mirror)
            # One line for all: one that is known is enough, and each costs a process.
            return [dials.look_line(list(names))] if names else []
        case CheckKind.REACH, subject if subject != PACKAGES:
            return [dials.dial_line("tcp", _place_to_dial(check, facts))]
    return []


def _place_to_dial(check: Check, facts: Facts) -> str:
    """Return the place of a check, or the host's mirror that the node was given instead."""
    return facts.instead.get(check.subject, check.subject)


def _has_silent(checks: Sequence[Check], facts: Facts) -> bool:
    """Return True if some silence is waited for till the end.

    That is of what does not answer the host either, or must not answer here.
    """
    if checks_of_kind(checks, CheckKind.CLOSED):
        return True
    for check in checks_of_kind(checks, CheckKind.REACH):
        # Not by `facts.of`, which would try a place that nobody has tried yet.
        tried = facts.tried.get(_place_to_dial(check, facts))
        if tried is not None and tried.is_timed_out:
            return True
    return False


def _names_to_ask(lab: Lab, node: Node, facts: Facts, mirror: str) -> dict[str, str]:
    """Return what a node has to know by name, each with its place, in the order to ask.

    Names that the host knows come first, then the mirror, then the others.
    """
    known: list[str] = []
    others: list[str] = []
    for wanted in outside.places(lab, node):
        place = facts.instead.get(wanted, wanted)
        if place == PACKAGES or not _has_name(place):
            continue
        tried = facts.tried.get(place)
        if tried is not None and tried.address:
            known.append(place)
        else:
            others.append(place)
    mirrors = [mirror] if mirror else []
    names: dict[str, str] = {}
    for place in (*known, *mirrors, *others):
        names.setdefault(outside_places.name_of(place), place)
    return names


def judge(lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts) -> Iterator[CheckResult]:
    """See Family.judge."""
    reading = _OutsideAnswers(
        lab=lab,
        facts=facts,
        answer=answer,
        dialled=dials.read_dials(answer.of(DIALS).lines),
    )
    judges = {
        CheckKind.REACH: _judge_reach,
        CheckKind.DNS: _judge_dns,
        CheckKind.CLOSED: _judge_closed,
    }
    for check in checks:
        verdict = _without_answer(check, reading)
        if verdict is None:
            yield judges[check.kind](check, reading)
            continue
        # Only what bash itself complained of is worth reading here.
        is_broken = verdict.reason in (Reason.PROGRAM_MISSING, Reason.PROGRAM_FAILED)
        yield verdict.of(check, output=answer.of(DIALS).text if is_broken else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class _OutsideAnswers:
    """All that a node said about the world outside, and what the host knows of it."""

    lab: Lab
    facts: Facts
    answer: Answer
    dialled: DialAnswers

    def place(self, check: Check) -> str:
        """Return the place that a node connected to for a check.

        It is "" if the node's sources name no mirror of packages.
        """
        if check.subject == PACKAGES:
            return self.dialled.packages
        return _place_to_dial(check, self.facts)

    def names(self, check: Check) -> dict[str, str]:
        """Return the names that a node had to look up for a check, each with its place."""
        node = self.lab.node(check.node)
        return _names_to_ask(self.lab, node, self.facts, self.dialled.packages)

    def controls(self, check: Check) -> Sequence[str]:
        """Return what a closed node must not know, or reach."""
        if check.subject == DNS:
            return outside_places.known_names(self.facts)
        return list(outside_places.controls(self.lab, self.facts))


def _without_answer(check: Check, reading: _OutsideAnswers) -> Verdict | None:
    """Return the verdict on a check that was never tried; None if it was."""
    if check.kind is CheckKind.CLOSED and not reading.controls(check):
        detail = "nothing outside answers the host either: nothing is proved"
        return Verdict.warned(Reason.UNPROVED, detail)
    code = reading.answer.of(DIALS).code
    if code is None:  # the part did not end: then its answer is missing, and says why
        return answers.missing(reading.answer, DIALS)
    if code == NOT_FOUND:
        detail = f"bash or timeout is not installed on {check.node}"
        return Verdict.error(Reason.PROGRAM_MISSING, detail, about="bash")
    if code not in (0, TIMED_OUT):
        detail = f"bash ended with {code} on {check.node}"
        return Verdict.error(Reason.PROGRAM_FAILED, detail, about="bash")
    is_late = code == TIMED_OUT
    if _is_tried(check, reading, is_late=is_late):
        return None
    if is_late:
        detail = f"{check.node} was too busy: it did not get to try"
        return Verdict.error(Reason.TOO_BUSY, detail)
    return Verdict.error(Reason.UNREADABLE, "its answer is broken")


def _is_tried(check: Check, reading: _OutsideAnswers, *, is_late: bool) -> bool:
    """Return True if a check's silence says something: what was never tried proves nothing."""
    tried = reading.dialled.tried_places(is_late=is_late)
    if check.kind is CheckKind.CLOSED:
        return tried.issuperset(reading.controls(check))
    if check.kind is CheckKind.REACH:
        place = reading.place(check)
        wanted = {place} if place else set()
    else:
        # Of names one is enough.
        wanted = set(reading.names(check))
    if not wanted:  # the node found no mirror, if it had the time to look for one
        return not is_late
    return not tried.isdisjoint(wanted)


def _judge_reach(check: Check, reading: _OutsideAnswers) -> CheckResult:
    """Judge that a place answered the node; it is to blame only where the host gets through."""
    place = reading.place(check)
    if not place:
        verdict = Verdict.warned(Reason.NO_MIRROR, "its sources name no mirror of packages")
        return verdict.of(check, command="apt-cache policy")
    # What was begun and has no line still waited for an answer when the time was over.
    code, text = reading.dialled.tcp.get(place, (TIMED_OUT, ""))
    if code == 0:
        return Verdict.passed(f"{place} answers").of(check)
    if code == TIMED_OUT:
        reason, why = Reason.TIMED_OUT, "timed out"
    else:
        reason = answers.connection(text)
        why = ssh.classify(text) or f"no connection: {text[:80]}"
    by_host = reading.facts.of(place)
    if by_host is not None and by_host.is_open:
        verdict = Verdict.failed(reason, f"{place}, which the host reaches: {why}")
    else:
        why_host_failed = by_host.why_not if by_host else "did not try"
        detail = f"neither the host ({why_host_failed}) nor {check.node} ({why}) reaches {place}"
        verdict = Verdict.warned(Reason.HOST_FAILS_TOO, detail)
    return verdict.of(check, command=dials.retry_line(place), output=text)


def _judge_dns(check: Check, reading: _OutsideAnswers) -> CheckResult:
    """Judge that names outside are known; the node is to blame only where the host knows them."""
    asked = reading.names(check)
    # One name that is known is enough: then names are.
    for name in asked:
        code, text = reading.dialled.dns.get(name, (TIMED_OUT, ""))
        if code == 0:
            return Verdict.passed(_known_text(name, text)).of(check)
    if not asked:
        detail = "nothing is proved: the lab needs nothing by name"
        return Verdict.warned(Reason.UNPROVED, detail).of(check)
    by_host = {name: reading.facts.of(place) for name, place in asked.items()}
    has_tried = False  # the host looked one of them up
    for name, tried in by_host.items():
        if tried is None:
            continue
        has_tried = True
        if tried.address:
            verdict = _verdict_on_unknown(name, reading.dialled)
            return verdict.of(check, command=_lookup_line(name))
    whose = "the host" if has_tried else "the host (did not try)"
    detail = f"neither {whose} nor {check.node} knows {', '.join(asked)}"
    verdict = Verdict.warned(Reason.HOST_FAILS_TOO, detail)
    first_name = next(iter(asked))
    return verdict.of(check, command=_lookup_line(first_name))


def _verdict_on_unknown(name: str, dialled: DialAnswers) -> Verdict:
    """Return the failure of a name that the host knows and the node does not."""
    reason, why = Reason.TIMED_OUT, "no answer"
    if name in dialled.dns:
        reason, why = Reason.NAME_UNKNOWN, "not known"
    return Verdict.failed(reason, f"{name}, which the host knows: {why}")


def _known_text(name: str, text: str) -> str:
    """Say what a name stands for; `text` is getent's, whose first word is the address."""
    address, _, _ = text.partition(" ")
    return f"{name} is {address}"


def _lookup_line(name: str) -> str:
    """Return what to type on a node to look one name up again."""
    return f"getent ahostsv4 {shlex.quote(name)}"


def _judge_no_names(check: Check, dialled: DialAnswers) -> CheckResult:
    """Judge that a closed node knows no name outside."""
    known = {name: text for name, (code, text) in dialled.dns.items() if code == 0}
    if not known:
        return Verdict.passed("knows no name outside").of(check)
    leaks = ", ".join(_known_text(name, text) for name, text in known.items())
    verdict = Verdict.failed(Reason.REACHED, f"it is not: {leaks}")
    first_name = next(iter(known))
    return verdict.of(check, command=_lookup_line(first_name))


def _judge_closed(check: Check, reading: _OutsideAnswers) -> CheckResult:
    """Judge that a closed node knows no name outside, or that no place outside answers it."""
    if check.subject == DNS:
        return _judge_no_names(check, reading.dialled)
    closed = reading.dialled.closed
    answering = [place for place, (code, _) in closed.items() if code == 0]
    if not answering:
        return Verdict.passed("reaches nothing outside").of(check)
    leaks = ", ".join(f"{place} answers" for place in answering)
    verdict = Verdict.failed(Reason.REACHED, f"it is not: {leaks}")
    return verdict.of(check, command=dials.retry_line(answering[0]))


FAMILY = Family(layers=(Layer.OUTSIDE,), expected=expected, parts=parts, judge=judge, gather=gather)
