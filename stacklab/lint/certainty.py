"""Judge errors in a file whose release is not certain: they must hold in every possible one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from stacklab import releases
from stacklab.lint.era import Era
from stacklab.lint.finding import Finding, Severity
from stacklab.lint.kinds import LintedFile
from stacklab.lint.scope import Scope

_LONG = 2000  # lines; a longer file than any installer's is not read again for each release

_Place = tuple[str, int]  # a rule and a line: the words differ between releases


def soften_uncertain(file: LintedFile, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield a file's findings; errors that only some of its possible releases have are warnings.

    Each finding costs time, so pass only those that will be shown.
    """
    findings = tuple(findings)
    era = file.scope.era
    errors = {_place(finding) for finding in findings if finding.severity is Severity.ERROR}
    if era is not None and not era.is_certain and errors:
        errors = _find_in_all(file, era, errors)
    for finding in findings:
        is_uncertain = finding.severity is Severity.ERROR and _place(finding) not in errors
        yield replace(finding, severity=Severity.WARNING) if is_uncertain else finding


def _find_in_all(file: LintedFile, era: Era, errors: set[_Place]) -> set[_Place]:
    """Return those of the errors that the file has in every release that it may be for."""
    rows = releases.of(file.kind.installer)
    remaining = errors
    others = era.possible
    if len(file.source.lines) > _LONG:
        others = era.possible[-1:]  # the oldest differs most
    for release in others:
        if release == era.release or not remaining:
            continue
        row = rows.get(release)
        other = replace(era, release=release, row=row)
        remaining = _find_again(file, replace(file.scope, release=row, era=other), remaining)
    return remaining


def _find_again(file: LintedFile, scope: Scope, places: set[_Place]) -> set[_Place]:
    """Return those of the places that have a finding in another scope, too."""
    found: set[_Place] = set()
    for finding in file.kind.lint(file.source, scope):
        place = _place(finding)
        if place in places:
            found.add(place)
            if len(found) == len(places):
                break  # the rest of the file tells nothing more
    return found


def _place(finding: Finding) -> _Place:
    return finding.rule, finding.line
