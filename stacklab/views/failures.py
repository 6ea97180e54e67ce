"""What did not pass and has no cause, in the order in which to look at it; and what to type to see it again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from stacklab.checks.explain.causes import Cause
from stacklab.checks.result import HOST, CheckKind, CheckResult, CheckStatus, Layer
from stacklab.model.lab import Lab

_ALIKE = 4  # so many nodes with one and the same trouble are told as one
_NAMED = 6
_ORDER = {layer: number for number, layer in enumerate(Layer)}
# What a shell calls itself and its lines is nobody's business.
_OF_SHELL = re.compile(r"(?:environment|bash): (?:line \d+|connect): ")
_BY_HOST = (
    CheckKind.STATE,
    CheckKind.LOGIN,
)  # what the host itself does, whichever node it is about


@dataclass(frozen=True, slots=True)
class Group:
    """Results that say the same; mostly just one."""

    results: tuple[CheckResult, ...]

    @property
    def first(self) -> CheckResult:
        """The one that stands for all."""
        return self.results[0]

    @property
    def title(self) -> str:
        """What was tried, by whom and on which interface."""
        check = self.first.check
        if len(self.results) == 1:
            return check.title
        nodes = list(
            dict.fromkeys(
                f"{each.check.node} {each.check.device}".rstrip() for each in self.results
            )
        )
        if len(nodes) == 1 or len({each.check.node for each in self.results}) == 1:
            kinds = dict.fromkeys(each.check.kind.value for each in self.results)
            return f"{check.node}: {len(self.results)} checks ({', '.join(kinds)})"
        more = f" and {len(nodes) - _NAMED} more" if len(nodes) > _NAMED else ""
        who = ", ".join(nodes[:_NAMED])
        network = f" ({check.network})" if check.network else ""
        subject = f" {check.subject}" if check.subject else ""
        to = f" -> {check.target} {check.address}".rstrip() if check.target else ""
        return f"{len(nodes)} nodes{to}{network}: {check.kind}{subject}: from {who}{more}"


def grouped(results: Iterable[CheckResult]) -> list[Group]:
    """All that did not pass for no known cause, what failed before what had no answer, nodes before pairs.

    What had no answer for one reason is one group per node; what many nodes fail at
    with the same target is one, too.
    """
    found: dict[tuple[object, ...], list[CheckResult]] = {}
    for result in results:
        if not result.is_passed and not result.cause:
            check = result.check
            key: tuple[object, ...] = (result.status, check.node, result.detail)
            if result.status is CheckStatus.FAILED:
                key = (
                    check.kind,
                    check.target,
                    check.address,
                    check.network,
                    check.subject,
                    result.detail,
                )
                if check.target in ("", check.node):
                    key = (check,)
            found.setdefault(key, []).append(result)
    groups = []
    for each in found.values():
        is_one = len(each) >= _ALIKE or (len(each) > 1 and each[0].status is CheckStatus.ERROR)
        groups += [Group(tuple(each))] if is_one else [Group((result,)) for result in each]
    groups.sort(key=_rank)
    return groups


def _rank(group: Group) -> tuple[bool, int]:
    return group.first.status is CheckStatus.ERROR, _ORDER[group.first.check.kind.layer]


def warned(results: Iterable[CheckResult]) -> list[Group]:
    """What passed with a warning; what several nodes are warned of in the same words is told once."""
    found: dict[tuple[object, ...], list[CheckResult]] = {}
    for result in results:
        if result.status is CheckStatus.WARNED:
            check = result.check
            words = result.detail.replace(check.node, "NODE")
            found.setdefault(
                (check.kind, check.target, check.network, check.subject, words), []
            ).append(result)
    return [Group(tuple(each)) for each in found.values()]


def typed(lab: Lab, result: CheckResult) -> str:
    """The command to type on this host to see for oneself; "" if there is none."""
    if not result.command or result.check.kind in _BY_HOST or result.check.node == HOST:
        return result.command
    # One word, which lab.exec gives to the node's shell as it is.
    return (
        f"./invoke lab.exec {lab.name} --node {result.check.node} -- {shlex.quote(result.command)}"
    )


def remedy(lab: Lab, cause: Cause) -> str:
    """The one command to type: it undoes what lab.fault did, or shows what is wrong; "" if there is none."""
    return f"./invoke lab.fault {lab.name} --undo" if cause.is_fault else typed(lab, cause.first)


def said(result: CheckResult) -> str:
    """What a command wrote, if it is worth reading: of a warning not what its shell complained of."""
    if result.status is not CheckStatus.WARNED:
        return result.output
    return "\n".join(line for line in result.output.splitlines() if not _OF_SHELL.match(line))
