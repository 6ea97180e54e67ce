"""A module's rules by their ids, and findings of them."""

from __future__ import annotations

from stacklab.lint.finding import Finding, Rule, Severity


class Book:
    """Writes findings: the severity is the rule's, and an id that no rule has is a KeyError."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._severities = {rule.id: rule.severity for rule in rules}

    def finding(self, rule: str, file: str, line: int, effect: str, fix: str) -> Finding:
        """Return a finding of that rule."""
        severity = self._severities[rule]
        return Finding(file=file, line=line, rule=rule, severity=severity, effect=effect, fix=fix)


def rule(rule_id: str, title: str, source: str, *, is_of_age: bool = False) -> Rule:
    """Return a rule whose breach makes the consumer fail, lose or misread something."""
    return Rule(
        id=rule_id, severity=Severity.ERROR, title=title, source=source, is_of_age=is_of_age
    )


def warning(rule_id: str, title: str, source: str, *, is_of_age: bool = False) -> Rule:
    """Return a rule whose breach does no harm, or none yet."""
    return Rule(
        id=rule_id, severity=Severity.WARNING, title=title, source=source, is_of_age=is_of_age
    )
