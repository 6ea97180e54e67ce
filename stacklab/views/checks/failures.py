"""What did not pass, in the order to look at it: grouped, as lines, with what to type for each.

Causes come first, with all that they explain; then failures without a cause; then warnings.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from stacklab.checks import report
from stacklab.checks.explain.causes import Explained, causes, checks_text
from stacklab.checks.result import CheckResult, CheckStatus, Layer
from stacklab.model.lab import Lab

STATUS_STYLE = {
    CheckStatus.PASSED: "green",
    CheckStatus.WARNED: "yellow",
    CheckStatus.FAILED: "red",
    CheckStatus.ERROR: "magenta",
}
# What a screen can take; beyond it, a line says how many more there are.
_MOST_GROUPS = 20
_MOST_LINES = 12  # of an output or an evidence
_MOST_CAUSES = 10
_MOST_OF_CAUSE = 16  # lines of evidence, which stand for many results
_INDENT = 10
_LEAST_ROOM = 20  # characters for a text, on however narrow a terminal
WHERE_ALL_IS = "(all of them: --html FILE, --json FILE)"
_HANG = "    "  # what is left of a line, so that lines can be told apart
_FEWEST_OF_GROUP = 4  # so many nodes with the same trouble are one group
_MOST_NAMED = 6
_LAYER_RANK = {layer: number for number, layer in enumerate(Layer)}
# How a shell names itself and its lines in a complaint: `bash: line 1: `, `bash: connect: `.
_SHELL_COMPLAINT = re.compile(r"(?:environment|bash): (?:line \d+|connect): ")


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
        nodes = {result.check.node for result in self.results}
        if len(nodes) > 1:
            return self._title_of_many_nodes()
        # A dict keeps the order in which the kinds came.
        kinds = dict.fromkeys(result.check.kind.value for result in self.results)
        return f"{check.node}: {len(self.results)} checks ({', '.join(kinds)})"

    def _title_of_many_nodes(self) -> str:
        """Write what many nodes tried alike: `9 nodes -> c1 10.0.0.1 (net1): ping: from ...`."""
        check = self.first.check
        sources: dict[str, None] = {}  # as an ordered set: each node with its device, once
        for result in self.results:
            source = f"{result.check.node} {result.check.device}".rstrip()
            sources[source] = None
        names = list(sources)
        title = f"{len(names)} nodes"
        if check.target:
            title += f" -> {check.target} {check.address}".rstrip()
        if check.network:
            title += f" ({check.network})"
        title += f": {check.kind}"
        if check.subject:
            title += f" {check.subject}"
        title += f": from {', '.join(names[:_MOST_NAMED])}"
        if len(names) > _MOST_NAMED:
            title += f" and {len(names) - _MOST_NAMED} more"
        return title

    @property
    def details(self) -> tuple[str, ...]:
        """The sentences: one line where all say the same, else one for each that differs."""
        by_detail: dict[str, CheckResult] = {}
        for result in self.results:
            # Sentences that differ only by the name of their own node say the same.
            detail = result.detail.replace(result.check.node, "NODE")
            by_detail.setdefault(detail, result)
        different = list(by_detail.values())
        if len(different) == 1:
            return (self.first.detail,)
        lines = [f"{result.check.node}: {result.detail}" for result in different[:_MOST_NAMED]]
        if len(different) > _MOST_NAMED:
            lines.append(f"and {len(different) - _MOST_NAMED} more")
        return tuple(lines)


def group_failures(results: Iterable[CheckResult]) -> list[Group]:
    """Group all that did not pass for an unknown cause, in the order to look at them.

    Failures come before errors, nodes before pairs. What did not get an answer for
    one reason is one group per node, and so is what many nodes fail at with the same target.
    """
    by_key: dict[tuple[object, ...], list[CheckResult]] = {}
    for result in results:
        if not result.is_passed and result.cause is None:
            alike = by_key.setdefault(_group_key(result), [])
            alike.append(result)
    groups: list[Group] = []
    for alike in by_key.values():
        is_error = alike[0].status is CheckStatus.ERROR
        # Two are enough for errors: they have the same reason on the same node.
        fewest = 2 if is_error else _FEWEST_OF_GROUP
        if len(alike) >= fewest:
            groups.append(Group(tuple(alike)))
            continue
        for result in alike:
            groups.append(Group((result,)))
    groups.sort(key=_group_rank)
    return groups


def _group_key(result: CheckResult) -> tuple[object, ...]:
    """Return what results of one group have in common; never a sentence."""
    check = result.check
    if result.status is CheckStatus.ERROR:
        return result.status, check.node, result.reason, result.about
    if check.target in ("", check.node):
        return (check,)
    return (
        check.kind,
        check.target,
        check.address,
        check.network,
        check.subject,
        result.reason,
        result.about,
    )


def _group_rank(group: Group) -> tuple[bool, int]:
    is_error = group.first.status is CheckStatus.ERROR
    return is_error, _LAYER_RANK[group.first.check.kind.layer]


def group_warnings(results: Iterable[CheckResult]) -> list[Group]:
    """Group what passed with a warning; what several nodes are warned of is one group."""
    by_key: dict[tuple[object, ...], list[CheckResult]] = {}
    for result in results:
        if result.status is not CheckStatus.WARNED:
            continue
        check = result.check
        key = (
            check.kind,
            check.target,
            check.network,
            check.subject,
            result.reason,
            result.about,
        )
        alike = by_key.setdefault(key, [])
        alike.append(result)
    return [Group(tuple(alike)) for alike in by_key.values()]


def command_to_try(lab: Lab, result: CheckResult) -> str:
    """Return the command to type on this host to see for oneself; "" if nothing helps."""
    check = result.check
    if not result.command or check.kind.traits.is_typed_here:
        return result.command
    # One word, which lab.exec gives to the node's shell as it is.
    command = shlex.quote(result.command)
    return f"./invoke lab.exec {lab.name} --node {check.node} -- {command}"


def command_to_repair(lab: Lab, group: Explained) -> str:
    """Return the one command to type: it undoes what lab.fault did, or shows what is wrong.

    "" if nothing helps.
    """
    if group.is_fault:
        return f"./invoke lab.fault {lab.name} --undo"
    return command_to_try(lab, group.first)


def output_to_read(result: CheckResult) -> str:
    """Return a command's output, if it is worth reading.

    Of a warning, what its shell complained of is not.
    """
    if result.status is not CheckStatus.WARNED:
        return result.output
    # The check ended with a warning, not with this: such a line would look like its cause.
    lines = [line for line in result.output.splitlines() if not _SHELL_COMPLAINT.match(line)]
    return "\n".join(lines)


def list_problems(lab: Lab, results: Sequence[CheckResult], width: int) -> Iterator[Text]:
    """Yield the causes with all they explain, then failures without a cause, then warnings."""
    known = causes(results)
    if known:
        yield from _heading("what is wrong")
    for explained in known[:_MOST_CAUSES]:
        yield from _cause_lines(lab, explained, width)
    yield from _left_out(len(known) - _MOST_CAUSES)
    title = "did not pass, cause unknown" if known else "did not pass"
    yield from _section(lab, title, group_failures(results), width)
    yield from _section(lab, "warnings", group_warnings(results), width)


def _section(lab: Lab, title: str, groups: Sequence[Group], width: int) -> Iterator[Text]:
    """Yield groups of results below a title; nothing where there are no groups."""
    if groups:
        yield from _heading(title)
    for group in groups[:_MOST_GROUPS]:
        yield from _group_lines(lab, group, width)
    yield from _left_out(len(groups) - _MOST_GROUPS)


def _heading(title: str) -> Iterator[Text]:
    yield Text()
    yield Text(title, "bold")


def _left_out(count: int) -> Iterator[Text]:
    """Yield how many more there are, if any, and where they are shown."""
    if count > 0:
        yield Text(f"and {count} more {WHERE_ALL_IS}", "dim")


def _group_lines(lab: Lab, group: Group, width: int) -> Iterator[Text]:
    """Yield what was tried, what came of it, what to type and what was written."""
    result = group.first
    head = "no answer" if result.status is CheckStatus.ERROR else str(result.status)
    yield from _headed_lines(head, STATUS_STYLE[result.status], group.title, width)
    for detail in group.details:
        yield from _indent_lines("", _wrap_lines(detail, width), "")
    if result.command:
        command = command_to_try(lab, result)
        # One line, which the terminal may wrap: it is to be copied.
        yield from _indent_lines("$ ", command.splitlines(), "cyan")
    for text in (output_to_read(result), result.evidence):
        # Some tools write nothing else than what the detail has quoted.
        if text.strip() in ("", result.detail.strip()):
            continue
        lines = _wrap_lines(text, width, _HANG)
        yield from _indent_lines("| ", _first_lines(lines, _MOST_LINES), "dim")


def _cause_lines(lab: Lab, group: Explained, width: int) -> Iterator[Text]:
    """Yield a cause in red, then what it explains, what to type and what was found out."""
    yield from _headed_lines("cause", "red", group.cause.text, width)
    explains = f"{checks_text(len(group.results))}: {group.scope}"
    yield from _indent_lines("", _wrap_lines(explains, width), "")
    command = command_to_repair(lab, group)
    yield from _indent_lines("$ ", command.splitlines(), "cyan")
    evidence = _wrap_lines(group.evidence, width, _HANG)
    yield from _indent_lines("| ", _first_lines(evidence, _MOST_OF_CAUSE), "dim")


def _headed_lines(head: str, style: str, title: str, width: int) -> Iterator[Text]:
    """Yield a title behind a word of its own colour; what is left of it stands below, plain."""
    room = max(width - _INDENT, _LEAST_ROOM)
    # A title of blanks alone has no lines at all.
    first, *further = textwrap.wrap(report.clean(title), room) or [""]
    yield Text(f"{head:<{_INDENT}}", style).append(first, "bold")
    yield from _indent_lines("", further, "")


def _wrap_lines(text: str, width: int, hang: str = "") -> list[str]:
    """Wrap a text's lines to the width; `hang` stands before what is left of one."""
    room = max(width - _INDENT - 2, _LEAST_ROOM)  # 2: the mark before each line
    wrapped: list[str] = []
    for line in report.clean(text).splitlines():
        wrapped += textwrap.wrap(line.expandtabs().rstrip(), room, subsequent_indent=hang)
    return wrapped


def _indent_lines(mark: str, lines: Sequence[str], style: str) -> Iterator[Text]:
    """Yield lines below a title, each behind a mark; they are not wrapped again."""
    for line in lines:
        yield Text(" " * _INDENT + mark + line, style, no_wrap=True, overflow="ignore")


def _first_lines(lines: Sequence[str], most: int) -> Sequence[str]:
    """Return the first lines of a text, and the number of those left out."""
    if len(lines) <= most:
        return lines
    shown = lines[: most - 1]  # the last place is for the number
    return [*shown, f"... {len(lines) - len(shown)} more lines"]
