"""Placeholders that somebody was to fill in: each is told once, and its value is not judged.

A consumer that expands nothing takes them as they are; bash takes `<...>` for redirections.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding
from stacklab.lint.scope import Source
from stacklab.lint.syntaxes import SHELL, Syntax

RULES = (
    rule(
        "file-placeholder",
        "a placeholder that nobody filled in",
        "bash(1), REDIRECTION; RawConfigParser and YAML expand nothing",
    ),
)
_BOOK = Book(RULES)
_SHOWN = 5  # lines that a finding names
_MANY = 8  # findings of one file that are told one by one
_SECRET = re.compile(r"passw|_pw\b|secret|token|key", re.IGNORECASE)
# A user's name and the password beside it, by what stands before these words; it may hold a $.
_USER_KEY = re.compile(r"\s*(?P<stem>\w+?)_user(name)?\s*[:=]", re.IGNORECASE)
_PASSWORD = re.compile(
    r"(?P<before>\s*(?P<key>(?P<stem>\w+?)_(?:password|passwd|pwd|pw))\s*[:=]\s*)"
    r"""(?P<quote>["']?)\$\{?[A-Za-z_]\w{2,}\}?(?P=quote)\s*""",
    re.IGNORECASE,
)
# bash(1), Here Documents; not <<<, a here-string.
_HERE_DOCUMENT = re.compile(
    r"(?<!<)<<-?[ \t]*(?P<quote>['\"]?)(?P<end>[A-Za-z_]\w{0,60})(?P=quote)"
)
_TEMPLATE = re.compile(r"\{\{|\{%|<%")  # what a template's language takes


@dataclass(frozen=True, slots=True)
class _Placeholder:
    """A placeholder as it is written; one that stands in for a secret is never shown."""

    text: str
    is_secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Partner:
    """A password that stands in for one, as the user's name beside it does."""

    key: str
    line: int
    before: str  # what stands on the line in front of its value


_LinesOf = dict[_Placeholder, list[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """A text whose placeholders are values that nobody knows, and what was found."""

    source: Source
    findings: tuple[Finding, ...] = ()
    lines: frozenset[int] = frozenset()  # those with a placeholder
    is_template: bool = False  # the text is another one when it is filled in


def take_out(source: Source, syntax: Syntax | None) -> Cleared:
    """Return a text without its placeholders, with a finding for each.

    One placeholder on several lines is one finding: it is filled in once; and so are several on
    one line. Without a syntax a file has none.
    """
    if syntax is None:
        return Cleared(source=source)
    if _is_template(source, syntax):
        return _take_out_template(source)
    lines_of: _LinesOf = {}
    lines: list[str] = []
    for number, line in enumerate(source.lines, start=1):
        lines.append(_take_out_of_line(line, number, syntax, lines_of))
    if not lines_of:
        return Cleared(source=source)
    partners = _find_partners(source, lines_of)
    for partner in partners.values():
        if syntax.unknown:
            lines[partner.line - 1] = f'{partner.before}"{syntax.unknown}"'
    end = "\n" if source.text.endswith("\n") else ""
    return Cleared(
        source=replace(source, text="\n".join(lines) + end),
        findings=_fold(_describe_all(source.name, lines_of, partners)),
        lines=_lines_with_one(lines_of, partners),
    )


def _is_template(source: Source, syntax: Syntax) -> bool:
    """Return True if a line is a template's own; those that a shell script writes are not."""
    end = ""  # of the here-document that the line is in
    for line in source.lines:
        if end:
            end = "" if line.strip() == end else end
            continue
        if syntax.template_line.match(line):
            return True
        here_document = _HERE_DOCUMENT.search(line) if syntax is SHELL else None
        end = here_document["end"] if here_document else ""
    return False


def _take_out_template(source: Source) -> Cleared:
    """Return a template with one finding: what it becomes is another text, and not known here."""
    numbers = [n for n, line in enumerate(source.lines, start=1) if _TEMPLATE.search(line)]
    shown = ", ".join(map(str, numbers[:_SHOWN]))
    more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
    finding = _BOOK.finding(
        "file-placeholder",
        source.name,
        numbers[0],
        effect=f"the file is a template (lines {shown}{more}), and nothing fills it in: the rest "
        "is not checked",
        fix="give the file that the template becomes",
    )
    return Cleared(source=source, findings=(finding,), is_template=True)


def _describe_all(
    file: str, lines_of: _LinesOf, partners: Mapping[int, _Partner]
) -> tuple[Finding, ...]:
    """Return a finding for each set of lines: those that stand on the same ones share it."""
    placeholders_at: dict[tuple[int, ...], list[_Placeholder]] = {}
    for placeholder, numbers in lines_of.items():
        placeholders_at.setdefault(tuple(dict.fromkeys(numbers)), []).append(placeholder)
    findings: list[Finding] = []
    for numbers_at, placeholders in placeholders_at.items():
        partners_at = [partners[number] for number in numbers_at if number in partners]
        findings.append(_describe(file, placeholders, numbers_at, partners_at))
    return tuple(findings)


def _fold(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Return one finding for many: a file full of placeholders is for a program that fills it."""
    if len(findings) <= _MANY:
        return findings
    first = min(findings)
    count = len(findings)
    effect = f"{first.effect}; {count - 1} more like it (lines "
    lines = sorted({finding.line for finding in findings} - {first.line})
    shown = ", ".join(map(str, lines[:_SHOWN]))
    more = f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    fix = "fill them in, or give the file that the program makes which fills them in"
    return (replace(first, effect=f"{effect}{shown}{more})", fix=fix),)


def _lines_with_one(lines_of: _LinesOf, partners: Mapping[int, _Partner]) -> frozenset[int]:
    """Return the numbers of all lines on which a placeholder or its partner stands."""
    numbers = {partner.line for partner in partners.values()}
    for its_numbers in lines_of.values():
        numbers.update(its_numbers)
    return frozenset(numbers)


def _find_partners(source: Source, lines_of: _LinesOf) -> dict[int, _Partner]:
    """Return passwords that look like variables, by the lines of users that are placeholders."""
    passwords: dict[str, _Partner] = {}
    for number, line in enumerate(source.lines, start=1):
        match = _PASSWORD.fullmatch(line)
        if match is not None:
            partner = _Partner(key=match["key"], line=number, before=match["before"])
            passwords[match["stem"].lower()] = partner
    partners: dict[int, _Partner] = {}
    for placeholder, numbers in lines_of.items():
        for number in numbers:
            user = _USER_KEY.match(source.lines[number - 1])
            if user is None or not placeholder.text.startswith("$"):
                continue
            stem = user["stem"].lower()
            if stem in passwords:
                partners[number] = passwords[stem]
    return partners


def _take_out_of_line(line: str, number: int, syntax: Syntax, lines_of: _LinesOf) -> str:
    """Return a line without its placeholders, which are noted with the line's number."""
    while (match := syntax.pattern.match(line)) is not None:
        rest, before = line[match.end() :], match["before"]
        if _is_meant(match, before, rest):
            return line
        # What stands in for a secret may be one, after all.
        is_secret = _SECRET.search(re.split(r"[=:]", before, maxsplit=1)[0]) is not None
        placeholder = _Placeholder(match["mark"], is_secret=is_secret)
        lines_of.setdefault(placeholder, []).append(number)
        if not syntax.unknown:
            return line
        unknown = syntax.unknown
        is_bare = before.rstrip()[-1:] == ":" and not rest.split("#")[0].strip()
        if is_bare and unknown.startswith("{"):
            unknown = f'"{unknown}"'  # a brace in front would begin a mapping
        line = before + unknown + rest
    return line


def _is_meant(match: re.Match[str], before: str, rest: str) -> bool:
    """Return True for what looks like a placeholder and is a part of a command or of a text."""
    before = before.replace(SHELL.unknown, "")  # of another placeholder on the line
    if "$(" in before or "`" in before or "</" in rest:
        return True
    # A password may hold a $, and no consumer of a placeholder's kind expands it.
    return match["mark"].startswith("$") and _SECRET.search(before) is not None


def _describe(
    file: str,
    placeholders: Sequence[_Placeholder],
    numbers: Sequence[int],
    partners: Sequence[_Partner],
) -> Finding:
    """Return the finding of all placeholders that stand on the same lines."""
    shown = ", ".join(map(str, numbers[:_SHOWN]))
    more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
    where = f"line{'s' if len(numbers) > 1 else ''} {shown}{more}"
    words = " and ".join(one.text for one in placeholders if not one.is_secret)
    if not words:
        words, where = f"what stands in {where}", ""
    elif len(numbers) > 1:
        where = f" ({where})"
    else:
        where = ""
    are = "are placeholders, and nothing fills them in"
    values = [f"the value of {partner.key} (line {partner.line})" for partner in partners]
    if values:
        words, where = " and ".join([f"{words}{where}", *values]), ""
    elif len(placeholders) == 1:
        are = "is a placeholder, and nothing fills it in"
    return _BOOK.finding(
        "file-placeholder",
        file,
        numbers[0],
        effect=f"{words}{where} {are}",
        fix=f"write a value instead of {words}",
    )
