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

_LINES_SHOWN = 10  # of each list in an error's message
_NAMED = 6  # names in one enumeration; one more is named as well, in place of "and 1 more"
_MOST_STARS = 3

# The error that a run ends with, and its words, by the worst status.
_ENDINGS: dict[CheckStatus, tuple[type[LabError], str]] = {
    CheckStatus.FAILED: (CheckFailed, "did not pass"),
    CheckStatus.ERROR: (NotChecked, "could not be tried"),
    CheckStatus.WARNED: (CheckWarned, "passed with a warning"),
}


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
        # A fault is named like a thing, `lab.fault link-down`; any other cause is a sentence.
        if self.is_fault:
            return f"because of {self.cause}"
        return f"because {self.cause}"

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
        pairs: list[CheckResult] = []
        others: list[CheckResult] = []
        for result in self.results:
            if result.check.kind.layer is Layer.PAIRS:
                pairs.append(result)
            else:
                others.append(result)
        return "; ".join([*_pair_phrases(pairs), *_node_phrases(others)])

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
            lines += _ranked_clues(others)
        return "\n".join(dict.fromkeys(lines))


def _ranked_clues(results: Sequence[CheckResult]) -> list[str]:
    """Return the clues' lines, the telling ones first; a line may be there more than once."""
    count: Counter[str] = Counter()
    for result in results:
        # Without repetitions, and in their order: it decides among lines of one frequency.
        count.update(list(dict.fromkeys(result.clues.splitlines())))
    ranked = count.most_common()
    _, most = ranked[0]
    # What more than half of them share is about the cause, not about one check.
    shared = [line for line, times in ranked if times > most / 2]
    example = min(results, key=_display_rank).clues.splitlines()
    return [*shared, *example, *(line for line, _ in ranked)]


def _pair_phrases(pairs: Sequence[CheckResult]) -> list[str]:
    """Say of checks between nodes what failed on which networks, and between whom."""
    if not pairs:
        return []
    networks = ", ".join(dict.fromkeys(result.check.network for result in pairs))
    return [f"{_kinds_text(pairs)} on {networks}", _ways_text(pairs)]


def _node_phrases(results: Sequence[CheckResult]) -> list[str]:
    """Say of checks of single nodes what failed; nodes that fail alike are named together."""
    by_node: dict[str, list[CheckResult]] = {}
    for result in results:
        by_node.setdefault(result.check.node, []).append(result)
    nodes_by_kinds: dict[str, list[str]] = {}
    for node, its_results in by_node.items():
        nodes_by_kinds.setdefault(_kinds_text(its_results), []).append(node)
    return [f"{kinds} of {_names_text(nodes)}" for kinds, nodes in nodes_by_kinds.items()]


def causes(results: Iterable[CheckResult]) -> tuple[Explained, ...]:
    """Group what failed by its cause; the cause that explains the most comes first."""
    by_cause: dict[Cause, list[CheckResult]] = {}
    for result in results:
        if result.cause is not None and not result.is_passed:
            by_cause.setdefault(result.cause, []).append(result)
    groups = [Explained(cause=cause, results=tuple(group)) for cause, group in by_cause.items()]
    groups.sort(key=lambda group: len(group.results), reverse=True)
    return tuple(groups)


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


def _ways_text(pairs: Sequence[CheckResult]) -> str:
    """Write ways between nodes as stars.

    `a <-> b, c` goes both ways; `a -> d` is for those that are there one way only.
    """
    ways = {(result.check.node, result.check.target) for result in pairs}
    order: dict[str, None] = {}  # all nodes, in the order of the results
    for result in pairs:
        order[result.check.node] = None
        order[result.check.target] = None
    both: dict[str, set[str]] = {}
    there: dict[str, set[str]] = {}
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
    centres_by_ends: dict[frozenset[str], list[str]] = {}
    for name in order:
        if name in ends:
            centres_by_ends.setdefault(frozenset(ends[name]), []).append(name)
    stars = sorted(centres_by_ends.items(), key=lambda star: len(star[0]), reverse=True)
    # With arrows both ways, a node that was a centre is not named as an end as well.
    done: set[str] = set()
    for others, centres in stars:
        remaining = others - done
        ends_named = [name for name in order if name in remaining]
        if ends_named:
            yield f"{_names_text(centres)} {arrow} {_names_text(ends_named)}"
        if is_mutual:
            done.update(centres)


def raise_for(
    results: Iterable[CheckResult], *, hint: str | None = None, warnings: bool = True
) -> None:
    """Raise what tells how the checks came out, unless all passed.

    CheckFailed (5) names the causes and what failed without one by address and interface,
    NotChecked (6) what did not get an answer where nothing failed, CheckWarned (7, unless
    `warnings` is False) what passed with a warning.
    """
    listed = tuple(results)
    shown = [result for result in listed if not result.is_passed]
    # What has an answer says more than what never ran for want of it: False comes first.
    shown.sort(key=lambda result: result.status is CheckStatus.ERROR)
    if not shown and warnings:
        shown = [result for result in listed if result.status is CheckStatus.WARNED]
    if not shown:
        return
    error, ending = _ENDINGS[shown[0].status]
    head = f"{len(shown)} of {len(listed)} checks {ending}:"
    raise error("\n".join(_message_lines(head, shown)), hint=hint)


def _message_lines(head: str, shown: Sequence[CheckResult]) -> Iterator[str]:
    """Yield the causes first, then some of the results without a cause."""
    of_causes: list[str] = []
    for group in causes(shown):
        of_causes.append(f"{len(group.results)} {group.because} ({group.scope})")
    unexplained = [result for result in shown if result.cause is None or result.is_passed]
    # One cause for all of it: the message is one line.
    if len(of_causes) == 1 and not unexplained:
        yield f"{head} {of_causes[0]}"
        return
    yield head
    for line in _shortened(of_causes, "more causes"):
        yield f"  {line}"
    of_results = [f"{result.check.title}: {result.detail}" for result in unexplained]
    for line in _shortened(of_results, "more"):
        yield f"  {line}"


def _shortened(lines: Sequence[str], others: str) -> list[str]:
    """Return the first lines, and the number of all others: `and 3 more causes`."""
    count = len(lines) - _LINES_SHOWN
    if count <= 0:
        return list(lines)
    return [*lines[:_LINES_SHOWN], f"and {count} {others}"]
