"""What explains failures, each told once with all that it explains; and the error that a run ends with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from stacklab.checks.result import CheckKind, CheckResult, CheckStatus, Layer
from stacklab.errors import CheckFailed, CheckWarned, LabError, NotChecked

_LINES_SHOWN = 10
_NAMED = 6
_MOST_STARS = 3
# Whose result shows a cause best: what the host says of the node, then the node of its NIC, then a ping.
_TELLING = (CheckKind.STATE, CheckKind.LOGIN, CheckKind.NIC, CheckKind.ROUTES, CheckKind.PING)
_FAULT = "lab.fault "


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One thing that is wrong, and all that failed for it."""

    text: str
    results: tuple[CheckResult, ...]

    @property
    def is_fault(self) -> bool:
        """Whether lab.fault made it."""
        return self.text.startswith(_FAULT)

    @property
    def because(self) -> str:
        """The cause behind a word that joins it to what failed."""
        return f"because of {self.text}" if self.is_fault else f"because {self.text}"

    @property
    def first(self) -> CheckResult:
        """The result that shows it best."""
        return min([result for result in self.results if result.command] or self.results, key=_rank)

    @property
    def scope(self) -> str:
        """What failed for it: `ping, mtu on fabric; compute1 <-> controller, compute2; nic of compute1`."""
        pairs = [each for each in self.results if each.check.kind.layer is Layer.PAIRS]
        parts = []
        if pairs:
            networks = ", ".join(dict.fromkeys(each.check.network for each in pairs))
            parts += [
                f"{_kinds(pairs)} on {networks}",
                _ways({(r.check.node, r.check.target) for r in pairs}, pairs),
            ]
        others: dict[str, list[CheckResult]] = {}
        for each in self.results:
            if each.check.kind.layer is not Layer.PAIRS:
                others.setdefault(each.check.node, []).append(each)
        alike: dict[str, list[str]] = {}
        for node, own in others.items():
            alike.setdefault(_kinds(own), []).append(node)
        return "; ".join(
            [*parts, *(f"{kinds} of {_named(nodes)}" for kinds, nodes in alike.items())]
        )

    @property
    def evidence(self) -> str:
        """What was found out, each line once: a login's, what most have in common, one result's, then the others'."""
        logins = [each for each in self.results if each.check.kind is CheckKind.LOGIN]
        others = [
            each for each in self.results if each.clues and each.check.kind is not CheckKind.LOGIN
        ]
        lines = [line for each in logins for line in each.clues.splitlines()]
        if others:
            ranked = Counter(
                line for each in others for line in dict.fromkeys(each.clues.splitlines())
            ).most_common()
            lines += [line for line, times in ranked if times > ranked[0][1] / 2]
            lines += [*min(others, key=_rank).clues.splitlines(), *(line for line, _ in ranked)]
        return "\n".join(dict.fromkeys(lines))


def causes(results: Iterable[CheckResult]) -> tuple[Cause, ...]:
    """What was found to be wrong, what explains the most first."""
    grouped: dict[str, list[CheckResult]] = {}
    for result in results:
        if cause := result.cause:
            grouped.setdefault(cause, []).append(result)
    found = (Cause(text=text, results=tuple(group)) for text, group in grouped.items())
    return tuple(sorted(found, key=lambda cause: -len(cause.results)))


def _rank(result: CheckResult) -> int:
    kind = result.check.kind
    return _TELLING.index(kind) if kind in _TELLING else len(_TELLING)


def checks_text(count: int) -> str:
    """So many checks."""
    return f"{count} check{'' if count == 1 else 's'}"


def _kinds(results: Iterable[CheckResult]) -> str:
    kinds = {result.check.kind for result in results}
    return _named([kind.value for kind in CheckKind if kind in kinds])


def _named(names: Sequence[str]) -> str:
    if len(names) <= _NAMED + 1:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"


def _ways(ways: set[tuple[str, str]], pairs: Sequence[CheckResult]) -> str:
    """Ways between nodes as stars: `a <-> b, c`, and `a -> d` for those that are there one way only."""
    order = list(
        dict.fromkeys(name for each in pairs for name in (each.check.node, each.check.target))
    )
    there: dict[str, set[str]] = {}
    both: dict[str, set[str]] = {}
    for source, target in ways:
        (both if (target, source) in ways else there).setdefault(source, set()).add(target)
    stars = [
        *_stars(both, order, "<->", is_mutual=True),
        *_stars(there, order, "->", is_mutual=False),
    ]
    more = [f"{len(stars) - _MOST_STARS} more nodes"] if len(stars) > _MOST_STARS else []
    return "; ".join([*stars[:_MOST_STARS], *more])


def _stars(
    ends: Mapping[str, set[str]], order: Sequence[str], arrow: str, *, is_mutual: bool
) -> Iterator[str]:
    """The node with the most ends first; nodes that have the same ends are one."""
    alike: dict[frozenset[str], list[str]] = {}
    for name in order:
        if name in ends:
            alike.setdefault(frozenset(ends[name]), []).append(name)
    done: set[str] = set()
    for others, names in sorted(alike.items(), key=lambda each: -len(each[0])):
        left = others - done
        if left:
            yield f"{_named(names)} {arrow} {_named([name for name in order if name in left])}"
        if is_mutual:
            done.update(names)


def raise_for(
    results: Iterable[CheckResult], *, hint: str | None = None, warnings: bool = True
) -> None:
    """Raise what tells how the checks came out, unless all passed.

    CheckFailed (5) names the causes and what failed without one by address and interface,
    NotChecked (6) what had no answer where nothing failed, CheckWarned (7, unless
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
    raise error("\n".join(_told(head, bad)), hint=hint)


def _told(head: str, bad: Sequence[CheckResult]) -> Iterator[str]:
    """The causes first, then some of what has none."""
    found = causes(bad)
    alone = [result for result in bad if not result.cause]
    lines = [f"{len(cause.results)} {cause.because} ({cause.scope})" for cause in found]
    if len(lines) == 1 and not alone:
        yield f"{head} {lines[0]}"
        return
    yield head
    if len(lines) > _LINES_SHOWN:
        lines[_LINES_SHOWN:] = [f"and {len(lines) - _LINES_SHOWN} more causes"]
    lines += [f"{result.check.title}: {result.detail}" for result in alone[:_LINES_SHOWN]]
    if len(alone) > _LINES_SHOWN:
        lines.append(f"and {len(alone) - _LINES_SHOWN} more")
    yield from (f"  {line}" for line in lines)
