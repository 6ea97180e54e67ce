"""What a lint says: which rule, where, what will happen, and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Whether the consumer will fail or lose something, or merely do nothing."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing that can be wrong; `id` is `<consumer>-<what>`, and names its folder in tests/lint/bad."""

    id: str
    severity: Severity
    title: str  # one line for the list of rules
    source: str  # where the consumer does it: repository@ref:path, or the manual


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
