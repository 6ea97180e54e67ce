"""Failures without a known cause, in the order to look at them, and what to type for each."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from stacklab.checks.explain.causes import Explained
from stacklab.checks.result import CheckResult, CheckStatus, Layer
from stacklab.model.lab import Lab

_ALIKE = 4  # so many nodes with the same trouble are one group
_NAMED = 6
_ORDER = {layer: number for number, layer in enumerate(Layer)}
# How a shell names itself and its lines.
_OF_SHELL = re.compile(r"(?:environment|bash): (?:line \d+|connect): ")


@dataclass(frozen=True, slots=True)
class Group:
    """Results that came out alike for the same reason; mostly just one."""

    results: tuple[CheckResult, ...]

    @property
    def first(self) -> CheckResult:
        """The one that stands for all."""
        return self.results[0]

    @property
    def title(self) -> str:
        """The thing that was tried, by whom and on which interface."""
        check = self.first.check
        if len(self.results) == 1:
            return check.title
        if len({result.check.node for result in self.results}) == 1:
            kinds = dict.fromkeys(result.check.kind.value for result in self.results)
            return f"{check.node}: {len(self.results)} checks ({', '.join(kinds)})"
        return self._title_of_many_nodes()

    def _title_of_many_nodes(self) -> str:
        """Write what many nodes tried alike: `9 nodes -> c1 10.0.0.1 (net1): ping: from ...`."""
        check = self.first.check
        places: dict[str, None] = {}
        for result in self.results:
            places[f"{result.check.node} {result.check.device}".rstrip()] = None
        names = list(places)
        title = f"{len(names)} nodes"
        if check.target:
            title += f" -> {check.target} {check.address}".rstrip()
        if check.network:
            title += f" ({check.network})"
        title += f": {check.kind}"
        if check.subject:
            title += f" {check.subject}"
        title += f": from {', '.join(names[:_NAMED])}"
        if len(names) > _NAMED:
            title += f" and {len(names) - _NAMED} more"
        return title

    @property
    def details(self) -> tuple[str, ...]:
        """The sentences: one line where all say the same, else one for each that differs."""
        by_detail: dict[str, CheckResult] = {}
        for result in self.results:
            by_detail.setdefault(result.detail.replace(result.check.node, "NODE"), result)
        different = list(by_detail.values())
        if len(different) == 1:
            return (self.first.detail,)
        lines = [f"{result.check.node}: {result.detail}" for result in different[:_NAMED]]
        if len(different) > _NAMED:
            lines.append(f"and {len(different) - _NAMED} more")
        return tuple(lines)


def grouped(results: Iterable[CheckResult]) -> list[Group]:
    """Group all that did not pass for an unknown cause, in the order to look at them.

    Failures come before errors, nodes before pairs. What did not get an answer for
    one reason is one group per node, and so is what many nodes fail at with the same target.
    """
    by_key: dict[tuple[object, ...], list[CheckResult]] = {}
    for result in results:
        if not result.is_passed and result.cause is None:
            by_key.setdefault(_group_key(result), []).append(result)
    groups: list[Group] = []
    for alike in by_key.values():
        is_error = alike[0].status is CheckStatus.ERROR
        if len(alike) >= _ALIKE or (len(alike) > 1 and is_error):
            groups.append(Group(tuple(alike)))
        else:
            groups += [Group((result,)) for result in alike]
    groups.sort(key=_group_rank)
    return groups


def _group_key(result: CheckResult) -> tuple[object, ...]:
    """Return what results of one group have in common; never a sentence."""
    check = result.check
    if result.status is CheckStatus.ERROR:
        return result.status, check.node, result.reason, result.about
    if check.target in ("", check.node):
        return (check,)
    to = (check.target, check.address, check.network, check.subject)
    return check.kind, *to, result.reason, result.about


def _group_rank(group: Group) -> tuple[bool, int]:
    return group.first.status is CheckStatus.ERROR, _ORDER[group.first.check.kind.layer]


def warned(results: Iterable[CheckResult]) -> list[Group]:
    """Group what passed with a warning; what several nodes are warned of is one group."""
    by_key: dict[tuple[object, ...], list[CheckResult]] = {}
    for result in results:
        if result.status is CheckStatus.WARNED:
            check = result.check
            what = (check.kind, check.target, check.network, check.subject)
            by_key.setdefault((*what, result.reason, result.about), []).append(result)
    return [Group(tuple(alike)) for alike in by_key.values()]


def typed(lab: Lab, result: CheckResult) -> str:
    """Return the command to type on this host to see for oneself; "" if nothing helps."""
    check = result.check
    if not result.command or check.kind.traits.is_typed_here:
        return result.command
    # One word, which lab.exec gives to the node's shell as it is.
    command = shlex.quote(result.command)
    return f"./invoke lab.exec {lab.name} --node {check.node} -- {command}"


def remedy(lab: Lab, group: Explained) -> str:
    """Return the one command to type: it undoes what lab.fault did, or shows what is wrong.

    "" if nothing helps.
    """
    if group.is_fault:
        return f"./invoke lab.fault {lab.name} --undo"
    return typed(lab, group.first)


def said(result: CheckResult) -> str:
    """Return a command's output, if it is worth reading.

    Of a warning, what its shell complained of is not.
    """
    if result.status is not CheckStatus.WARNED:
        return result.output
    return "\n".join(line for line in result.output.splitlines() if not _OF_SHELL.match(line))
