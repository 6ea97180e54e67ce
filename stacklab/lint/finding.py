"""Rules and findings: the place, what will happen, and what to write instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

_SHOWN = 20  # further lines that a finding of several names


class Severity(StrEnum):
    """The harm: an error makes the consumer fail or lose something, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A thing that can be wrong; `id` is <consumer>-<what>, a folder's name in tests/lint/bad."""

    id: str
    severity: Severity
    title: str  # one line for the list of rules
    source: str  # where the consumer does it: repository@ref:path, or the manual
    # True for what is wrong by the release alone: a name that came, went or has another's work.
    is_of_age: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Finding:
    """One place where a rule is broken; sorts by file and line. Never holds a secret's value."""

    file: str
    line: int  # from 1; 0: the file as a whole
    rule: str
    severity: Severity
    # what will happen: "everything after line 14 is lost: `[[` at column 0 starts a section"
    effect: str
    fix: str  # what to write instead

    def __str__(self) -> str:
        """Return `file:line: rule: effect -> fix` on one line."""
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.rule}: {self.effect}" + (f" -> {self.fix}" if self.fix else "")


def at_first_line(findings: Sequence[Finding]) -> Finding:
    """Return one finding for several of one cause: the first, with the others' lines."""
    first = findings[0]
    # A line may have several of them.
    others = sorted({finding.line for finding in findings} - {first.line})
    if not others:
        return first
    also = ", ".join(map(str, others[:_SHOWN]))
    more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
    return replace(first, effect=f"{first.effect} (also line {also}{more})")
