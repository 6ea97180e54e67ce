"""Comments by which an author has findings left out: `# stacklab: ignore=RULE,RULE`.

Behind something on its line, such a comment is for that line; alone on a line, for the file.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from stacklab.lint.book import Book, warning
from stacklab.lint.finding import Finding
from stacklab.lint.near import Near
from stacklab.lint.scope import Source

RULES = (
    warning(
        "file-ignore",
        "a comment that ignores a rule which does not exist",
        "stacklab/lint/ignores.py",
    ),
)
_BOOK = Book(RULES)
_COMMENT = re.compile(r"(?P<before>.*?)[#;]\s*stacklab:\s*ignore\s*=\s*(?P<rules>[\w*, -]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ignore:
    """One rule of one comment."""

    rule: str
    line: int
    is_for_file: bool

    def hides(self, finding: Finding) -> bool:
        """Return True if the author does not want to hear of a finding."""
        return finding.rule == self.rule and (self.is_for_file or finding.line == self.line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignores:
    """All comments of one file."""

    file: str
    ignores: tuple[_Ignore, ...]

    def hides(self, finding: Finding) -> bool:
        """Return True if one of the comments is for a finding of this file."""
        return any(ignore.hides(finding) for ignore in self.ignores)

    def find_unknown(self, rules: Collection[str]) -> Iterator[Finding]:
        """Yield a finding for each rule of a comment that does not exist."""
        nearest = Near(rules)
        for ignore in self.ignores:
            if ignore.rule in rules:
                continue
            near = nearest(ignore.rule)
            yield _BOOK.finding(
                "file-ignore",
                self.file,
                ignore.line,
                effect=f"nothing is ignored: there is no rule {ignore.rule}",
                fix=f"write {near}" if near else "./invoke answers.rules lists all of them",
            )


def read(source: Source) -> Ignores:
    """Return what the comments in a file ignore."""
    ignores: list[_Ignore] = []
    for number, line in enumerate(source.lines, start=1):
        match = _COMMENT.match(line) if "stacklab:" in line else None
        if match is None:
            continue
        is_for_file = not match["before"].strip()
        for rule in re.split(r"[,\s]+", match["rules"].strip()):
            ignores.append(_Ignore(rule=rule, line=number, is_for_file=is_for_file))
    return Ignores(file=source.name, ignores=tuple(ignores))
