"""Lint a file whose release is not certain: an error must hold in every release it may be for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from stacklab import releases
from stacklab.lint.era import Era
from stacklab.lint.finding import Finding, Severity
from stacklab.lint.kinds import LintedFile

_LONG = 2000  # lines; a longer file than any installer's is not read again for each release


def lint_in_era(file: LintedFile) -> Iterator[Finding]:
    """Yield a file's findings; errors that only some of its possible releases have are warnings."""
    findings = tuple(
        finding
        for finding in file.kind.lint(file.source, file.scope)
        if finding.line not in file.placeholders or finding.rule.endswith("-key")
    )
    era = file.scope.era
    errors = {_place(finding) for finding in findings if finding.severity is Severity.ERROR}
    if era is not None and not era.is_certain and errors:
        errors &= _find_in_all(file, era, errors)
    for finding in findings:
        is_uncertain = finding.severity is Severity.ERROR and _place(finding) not in errors
        yield replace(finding, severity=Severity.WARNING) if is_uncertain else finding


def _find_in_all(file: LintedFile, era: Era, errors: set[tuple[str, int]]) -> set[tuple[str, int]]:
    """Return those of the errors that the file has in every release that it may be for."""
    rows = releases.of(file.kind.installer)
    remaining = set(errors)
    others = era.possible
    if len(file.source.lines) > _LONG:
        others = era.possible[-1:]  # the oldest differs most
    for release in others:
        if release == era.release or not remaining:
            continue
        row = rows.get(release)
        other = replace(era, release=release, row=row)
        scope = replace(file.scope, release=row, era=other)
        # Words differ between releases, so what is compared is the rule and the line.
        remaining &= {_place(finding) for finding in file.kind.lint(file.source, scope)}
    return remaining


def _place(finding: Finding) -> tuple[str, int]:
    return finding.rule, finding.line
