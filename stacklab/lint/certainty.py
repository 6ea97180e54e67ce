"""Judge findings in a file whose release is not certain: they must hold in every possible one.

Errors that do not are warnings. What is wrong by the release alone is not told at all if the
file's marks leave a release in which it is right: that one is the likelier.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Set
from dataclasses import replace

from stacklab import releases
from stacklab.lint.finding import Finding, Severity
from stacklab.lint.kinds import LintedFile
from stacklab.lint.scope import Era, Ground, Scope

_LONG = 2000  # lines; a longer file than any installer's is not read again for each release

# A rule and a line: the words differ between releases. Where a line breaks a rule more than once,
# they must be the same: nothing else tells which of its findings another release has, too.
_Place = tuple[str, int, str]


def soften_uncertain(
    file: LintedFile, findings: Iterable[Finding], of_age: frozenset[str] = frozenset()
) -> Iterator[Finding]:
    """Yield a file's findings as far as they hold in each release that it may be for.

    `of_age` has the rules whose breach is a matter of the release alone. Each finding costs time,
    so pass only those that will be shown.
    """
    findings = tuple(findings)
    era = file.scope.era
    doubted = of_age if era is not None and _is_old(file, era) else frozenset()
    shared = _find_shared(findings)
    places = {
        _place(finding, shared)
        for finding in findings
        if finding.severity is Severity.ERROR or finding.rule in doubted
    }
    if era is not None and not era.is_certain and places:
        places = _find_in_all(file, era, places, shared)
    for finding in findings:
        if _place(finding, shared) in places:
            yield finding
        elif finding.severity is Severity.ERROR and finding.rule not in doubted:
            yield replace(finding, severity=Severity.WARNING)
        elif finding.rule not in doubted:
            yield finding


def _is_old(file: LintedFile, era: Era) -> bool:
    """Return True if marks tell that a file is of older releases than the newest.

    Of any other all is told that the newest one has to say: somebody may want to use it today.
    """
    return era.ground is Ground.MARKS and era.release != file.kind.releases(file.kind)[0]


def _find_in_all(
    file: LintedFile, era: Era, places: set[_Place], shared: Set[tuple[str, int]]
) -> set[_Place]:
    """Return those of the places that the file has in every release that it may be for."""
    rows = releases.of(file.kind.installer)
    remaining = places
    others = era.possible
    if len(file.source.lines) > _LONG:
        others = era.possible[-1:]  # the oldest differs most
    for release in others:
        if release == era.release or not remaining:
            continue
        row = rows.get(release)
        other = replace(era, release=release, row=row)
        scope = replace(file.scope, release=row, era=other)
        remaining = _find_again(file, scope, remaining, shared)
    return remaining


def _find_again(
    file: LintedFile, scope: Scope, places: set[_Place], shared: Set[tuple[str, int]]
) -> set[_Place]:
    """Return those of the places that have a finding in another scope, too."""
    found: set[_Place] = set()
    for finding in file.kind.lint(file.source, scope):
        place = _place(finding, shared)
        if place in places:
            found.add(place)
            if len(found) == len(places):
                break  # the rest of the file tells nothing more
    return found


def _find_shared(findings: Iterable[Finding]) -> Set[tuple[str, int]]:
    """Return rules and lines that several findings have in common."""
    counts = Counter((finding.rule, finding.line) for finding in findings)
    return {place for place, count in counts.items() if count > 1}


def _place(finding: Finding, shared: Set[tuple[str, int]]) -> _Place:
    words = finding.effect if (finding.rule, finding.line) in shared else ""
    return finding.rule, finding.line, words
