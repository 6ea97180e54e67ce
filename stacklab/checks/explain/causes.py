"""The causes of failures, each once with all that it explains.

`raise_for` makes the error of them that a run ends with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from stacklab.checks.result import CheckKind, CheckResult, CheckStatus, Layer
from stacklab.errors import CheckFailed, CheckWarned, LabError, NotChecked
from stacklab.model.cause import Cause, CauseKind

_LINES_SHOWN = 10
_NAMED = 6
_MOST_STARS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A cause, and all that failed because of it."""

    cause: Cause
    results: tuple[CheckResult, ...]

    @property
    def is_fault(self) -> bool:
        """True if lab.fault made it."""
        return self.cause.kind is CauseKind.FAULT

    @property
    def because(self) -> str:
        """The cause behind a word that joins it to what failed."""
        return f"because of {self.cause}" if self.is_fault else f"because {self.cause}"

    @property
    def first(self) -> CheckResult:
        """The result that shows it best."""
        with_command = [result for result in self.results if result.command]
        return min(with_command or self.results, key=_display_rank)

    @property
    def scope(self) -> str:
        """The checks that failed because of it, in a line.

        For instance `ping, mtu on fabric; compute1 <-> controller, compute2; nic of compute1`.
        """
        pairs = [result for result in self.results if result.check.kind.layer is Layer.PAIRS]
        words = []
        if pairs:
            networks = ", ".join(dict.fromkeys(result.check.network for result in pairs))
            ways = {(result.check.node, result.check.target) for result in pairs}
            words += [f"{_kinds_text(pairs)} on {networks}", _ways_text(ways, pairs)]
        by_node: dict[str, list[CheckResult]] = {}
        for result in self.results:
            if result.check.kind.layer is not Layer.PAIRS:
                by_node.setdefault(result.check.node, []).append(result)
        # Nodes that fail at the same kinds are named together.
        nodes_by_kinds: dict[str, list[str]] = {}
        for node, results in by_node.items():
            nodes_by_kinds.setdefault(_kinds_text(results), []).append(node)
        words += [f"{kinds} of {_names_text(nodes)}" for kinds, nodes in nodes_by_kinds.items()]
        return "; ".join(words)

    @property
    def evidence(self) -> str:
        """The clues of all its results, each line once.

        A login's lines come first, then what most results have in common, then one
        result's, then all others.
        """
        lines: list[str] = []
        others: list[CheckResult] = []
        for result in self.results:
            if result.check.kind is CheckKind.LOGIN:
                lines += result.clues.splitlines()
            elif result.clues:
                others.append(result)
        if others:
            count: Counter[str] = Counter()
            for result in others:
                count.update(list(dict.fromkeys(result.clues.splitlines())))
            ranked = count.most_common()
            most = ranked[0][1]
            # What more than half of them share is about the cause, not about one check.
            lines += [line for line, times in ranked if times > most / 2]
            lines += min(others, key=_display_rank).clues.splitlines()
            lines += [line for line, _ in ranked]
        return "\n".join(dict.fromkeys(lines))


def causes(results: Iterable[CheckResult]) -> tuple[Explained, ...]:
    """Group what failed by its cause; the cause that explains the most comes first."""
    by_cause: dict[Cause, list[CheckResult]] = {}
    for result in results:
        if result.cause is not None and not result.is_passed:
            by_cause.setdefault(result.cause, []).append(result)
    groups = [Explained(cause=cause, results=tuple(group)) for cause, group in by_cause.items()]
    return tuple(sorted(groups, key=lambda group: -len(group.results)))


def _display_rank(result: CheckResult) -> int:
    """Return the rank of a result; the lowest is shown for a cause."""
    return result.check.kind.traits.shows_cause


def checks_text(count: int) -> str:
    """Return a number of checks, in words."""
    return "1 check" if count == 1 else f"{count} checks"


def _kinds_text(results: Iterable[CheckResult]) -> str:
    """Name the kinds of these checks, in the order of CheckKind."""
    kinds = {result.check.kind for result in results}
    return _names_text([kind.value for kind in CheckKind if kind in kinds])


def _names_text(names: Sequence[str]) -> str:
    """Join names; of many, some and the number of the others."""
    if len(names) <= _NAMED + 1:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"


def _ways_text(ways: set[tuple[str, str]], pairs: Sequence[CheckResult]) -> str:
    """Write ways between nodes as stars.

    `a <-> b, c` goes both ways; `a -> d` is for those that are there one way only.
    """
    order: dict[str, None] = {}
    for result in pairs:
        order[result.check.node] = order[result.check.target] = None
    there: dict[str, set[str]] = {}
    both: dict[str, set[str]] = {}
    for source, target in ways:
        ends = both if (target, source) in ways else there
        ends.setdefault(source, set()).add(target)
    stars = [
        *_star_texts(both, list(order), "<->", is_mutual=True),
        *_star_texts(there, list(order), "->", is_mutual=False),
    ]
    if len(stars) > _MOST_STARS:
        stars[_MOST_STARS:] = [f"{len(stars) - _MOST_STARS} more nodes"]
    return "; ".join(stars)


def _star_texts(
    ends: Mapping[str, set[str]], order: Sequence[str], arrow: str, *, is_mutual: bool
) -> Iterator[str]:
    """Yield the node with the most ends first; nodes that have the same ends are one star."""
    alike: dict[frozenset[str], list[str]] = {}
    for name in order:
        if name in ends:
            alike.setdefault(frozenset(ends[name]), []).append(name)
    # With arrows both ways, a node that was a centre is not named as an end as well.
    done: set[str] = set()
    for others, names in sorted(alike.items(), key=lambda star: -len(star[0])):
        left = others - done
        if left:
            others_text = _names_text([name for name in order if name in left])
            yield f"{_names_text(names)} {arrow} {others_text}"
        if is_mutual:
            done.update(names)


def raise_for(
    results: Iterable[CheckResult], *, hint: str | None = None, warnings: bool = True
) -> None:
    """Raise what tells how the checks came out, unless all passed.

    CheckFailed (5) names the causes and what failed without one by address and interface,
    NotChecked (6) what did not get an answer where nothing failed, CheckWarned (7, unless
    `warnings` is False) what passed with a warning.
    """
    listed = tuple(results)
    bad = [result for result in listed if not result.is_passed]
    warned = [result for result in listed if result.status is CheckStatus.WARNED]
    error: type[LabError]
    if bad:
        # What has an answer says more than what never ran for want of it.
        bad.sort(key=lambda result: result.status is CheckStatus.ERROR)
        has_failed = bad[0].status is CheckStatus.FAILED
        error = CheckFailed if has_failed else NotChecked
        head = "did not pass" if has_failed else "could not be tried"
    elif warned and warnings:
        bad, error, head = warned, CheckWarned, "passed with a warning"
    else:
        return
    head = f"{len(bad)} of {len(listed)} checks {head}:"
    raise error("\n".join(_message_lines(head, bad)), hint=hint)


def _message_lines(head: str, bad: Sequence[CheckResult]) -> Iterator[str]:
    """Yield the causes first, then some of the results without a cause."""
    unexplained = [result for result in bad if result.cause is None or result.is_passed]
    lines = [f"{len(group.results)} {group.because} ({group.scope})" for group in causes(bad)]
    if len(lines) == 1 and not unexplained:
        yield f"{head} {lines[0]}"
        return
    yield head
    if len(lines) > _LINES_SHOWN:
        lines[_LINES_SHOWN:] = [f"and {len(lines) - _LINES_SHOWN} more causes"]
    for result in unexplained[:_LINES_SHOWN]:
        lines.append(f"{result.check.title}: {result.detail}")
    if len(unexplained) > _LINES_SHOWN:
        lines.append(f"and {len(unexplained) - _LINES_SHOWN} more")
    yield from (f"  {line}" for line in lines)
