"""A module's rules by their ids, and findings of them."""

from __future__ import annotations

from stacklab.lint.finding import Finding, Rule, Severity


class Book:
    """Writes findings: the severity is the rule's, and an id that no rule has is a KeyError."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._severities = {rule.id: rule.severity for rule in rules}

    def finding(self, rule: str, file: str, line: int, effect: str, fix: str) -> Finding:
        """One finding of that rule."""
        severity = self._severities[rule]
        return Finding(file=file, line=line, rule=rule, severity=severity, effect=effect, fix=fix)


def rule(rule_id: str, title: str, source: str) -> Rule:
    """A rule whose breach makes the consumer fail, or lose or mistake something."""
    return Rule(id=rule_id, severity=Severity.ERROR, title=title, source=source)


def warning(rule_id: str, title: str, source: str) -> Rule:
    """A rule whose breach does nothing, or does no harm yet."""
    return Rule(id=rule_id, severity=Severity.WARNING, title=title, source=source)
