"""Show what the lint found: for people, as JSON, and as SARIF for reviews."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from stacklab import facts
from stacklab.lint.examples import TABLE

if TYPE_CHECKING:  # rendering must not wait for the lint
    from stacklab.lint.finding import Finding, Rule
    from stacklab.lint.kinds import Judgement, LintedFile
    from stacklab.lint.scope import Era

_SEVERITY_STYLE = {"error": "red", "warning": "yellow"}
_SHOWN = 3  # files that a line of one era names
# A variable's value stands in an effect as one word; a longer one is shown without its middle.
_LONGEST = 120
_LONG_WORD = re.compile(rf"\S{{{_LONGEST + 1},}}")
_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def era_lines(verdict: Judgement) -> Iterable[Text]:
    """Yield what files are judged by: a line for all of one era, with their names if several."""
    names: dict[str, list[str]] = {}
    for file in verdict.files:
        if file.scope.era is not None:
            names.setdefault(str(file.scope.era), []).append(file.source.name)
    for sentence, files in names.items():
        shown = ", ".join(files[:_SHOWN])
        more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
        # Where all files are of one era, it goes without saying whose it is.
        which = f"{shown}{more}: " if len(names) > 1 else ""
        yield Text(f"{which}{_without_middles(sentence)}", style="dim")


def _without_middles(text: str) -> str:
    """Return a text for people, whose longest words show how they begin and end."""
    half = (_LONGEST - 1) // 2

    def shorten(match: re.Match[str]) -> str:
        return f"{match[0][:half]}…{match[0][-half:]}"

    return _LONG_WORD.sub(shorten, text)


def finding_lines(findings: Sequence[Finding]) -> Iterable[Text]:
    """Yield each finding as file:line, severity, rule and effect, with the fix below it."""
    for finding in findings:
        # A finding may be about a file as a whole: its line is 0.
        where = f"{finding.file}:{finding.line}" if finding.line else finding.file
        severity = str(finding.severity)
        line = Text.assemble(
            (where, "bold"),
            ": ",
            (severity, _SEVERITY_STYLE[severity]),
            f": {finding.rule}: ",
            _without_middles(finding.effect),
        )
        # What is to be written instead stays whole: it may be copied.
        if finding.fix:
            line = Text.assemble(line, (f"\n    {finding.fix}", "dim"))
        yield line


def as_json(verdict: Judgement) -> dict[str, Any]:
    """Return files with their eras, and findings, for machines."""
    errors = sum(finding.severity == "error" for finding in verdict.findings)
    return {
        "files": [_file_as_json(file) for file in verdict.files],
        "findings": [_finding_as_json(finding) for finding in verdict.findings],
        "errors": errors,
        "warnings": len(verdict.findings) - errors,
    }


def _file_as_json(file: LintedFile) -> dict[str, Any]:
    return {
        "file": file.source.name,
        "kind": file.kind.word,
        "consumer": file.kind.consumer,
        "era": _era_as_json(file.scope.era) if file.scope.era else None,
    }


def _era_as_json(era: Era) -> dict[str, Any]:
    return {
        "release": era.release,
        "known_by": str(era.ground),
        "why": era.why,
        "possible": list(era.possible),
        "is_in_table": era.is_in_table,
    }


def _finding_as_json(finding: Finding) -> dict[str, Any]:
    return {
        "file": finding.file,
        "line": finding.line,
        "rule": finding.rule,
        "severity": str(finding.severity),
        "effect": finding.effect,
        "fix": finding.fix,
    }


def sarif(verdict: Judgement) -> dict[str, Any]:
    """Return the findings in SARIF 2.1.0."""
    from stacklab.installers import linting

    found = {finding.rule for finding in verdict.findings}
    rules = [
        {
            "id": rule.id,
            "shortDescription": {"text": rule.title},
            "fullDescription": {"text": f"{rule.title} ({rule.source})"},
            "defaultConfiguration": {"level": str(rule.severity)},
        }
        for rule in linting.RULES
        if rule.id in found
    ]
    driver = {"name": "stacklab", "rules": rules}
    results = [_sarif_result(finding) for finding in verdict.findings]
    return {
        "$schema": _SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }


def _sarif_result(finding: Finding) -> dict[str, Any]:
    location: dict[str, Any] = {"artifactLocation": {"uri": finding.file}}
    # A finding of a file as a whole has no region: SARIF counts lines from 1.
    if finding.line:
        location["region"] = {"startLine": finding.line}
    return {
        "ruleId": finding.rule,
        "level": str(finding.severity),
        "message": {"text": f"{finding.effect}; instead: {finding.fix}"},
        "locations": [{"physicalLocation": location}],
    }


def rule_lines(rule: Rule) -> Iterator[str]:
    """Yield what a rule is, what is bad, what becomes of it, and what is good instead."""
    yield f"{rule.id} ({rule.severity}): {rule.title}"
    yield f"  source: {rule.source}"
    example = facts.read(TABLE).get(rule.id)
    if example:
        yield f"  bad ({example['file']}):"
        yield from (f"      {line}" for line in example["bad"].splitlines())
        yield f"  what becomes of it: {example['effect']}"
        yield "  good:"
        yield f"      {example['good']}"
    yield f"  to leave it out: # stacklab: ignore={rule.id}"
