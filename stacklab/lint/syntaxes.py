"""Syntaxes of values in answer files: what is a placeholder in each of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

# <address of the controller>, <%= @address %>, {{ address }}, {% if x %}, YOUR_ADDRESS, CHANGE_ME,
# @address@, %ADDRESS% and __ADDRESS__, as configure and people's own sed scripts have it
_ANGLE = r"<%.*?%>|<(?=[A-Za-z])[A-Za-z0-9][^<>|&;$`\n]*>|<< [A-Za-z][^<>|&;$`\n]* >>"
_JINJA = r"\{\{.*?\}\}|\{%.*?%\}"
_AT = (
    r"(?<![\w@])@{1,3}[A-Za-z][\w-]{1,60}@{1,3}(?![\w@.])"
    r"|(?<![\w%])%[A-Z][A-Z0-9_]{1,60}%(?![\w%])"
    r"|(?<!\w)__[A-Z][A-Z0-9_]{2,60}__(?!\w)"
)
# bash alone takes a # inside of a word for itself
_HASHES = r"""(?<=[="'])#[A-Za-z][\w-]{1,60}#(?![\w#])"""
_WORDS = (
    r"\b(?:YOUR|your)[_-]\w[\w-]*"
    r"|\b(?:CHANGE_?ME|REPLACE_?ME|FILL_?ME|COMPLETE_HERE|change_me|replace_me)(?:_\w{1,60})?\b"
)
# At the beginning of a value, or of a part of one: a $ inside a word may well be meant.
_VARIABLE = r"(?<![\w$.%!-])\$\{?[A-Z][A-Z0-9_]{2,}\}?"
# A small one alone, as the whole value of a line.
_WHOLE = r"(?<=[:=] )\$\{?[a-z][a-z0-9_]{2,}\}?(?=\s*$)"
# A value's beginning: what stands before it on the line, comments excluded.
_VALUE = r"^(?P<before>\s*(?:export\s+|-\s+)?[\w\[\].-]+\s*{sign}\s*[^#\n]*?)(?P<mark>{mark})"

_IN_SHELL = re.compile(
    _VALUE.format(sign=r"\+?=", mark=f"{_ANGLE}|{_JINJA}|{_WORDS}|{_AT}|{_HASHES}")
)
_IN_INI = re.compile(_VALUE.format(sign="=", mark=f"{_ANGLE}|{_JINJA}|{_WORDS}|{_AT}|{_VARIABLE}"))
_IN_YAML = re.compile(_VALUE.format(sign=":", mark=f"{_ANGLE}|{_WORDS}|{_AT}|{_VARIABLE}|{_WHOLE}"))

# Lines of a template that are not lines of the file.
_TEMPLATE_LINE = re.compile(r"\s*(?:\{%.*%\}|<%.*%>)\s*$")
_TEMPLATE_LINE_AT_MARGIN = re.compile(r"(?:\{%.*%\}|<%.*%>)\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Syntax:
    """A syntax of values: what is a placeholder in it, and how a value that nobody knows looks."""

    pattern: re.Pattern[str]
    unknown: str  # "" leaves placeholders where they are
    template_line: re.Pattern[str] = _TEMPLATE_LINE


SHELL = Syntax(pattern=_IN_SHELL, unknown="$(placeholder)")
INI = Syntax(pattern=_IN_INI, unknown="")
# Inside of a text, Ansible itself takes such lines.
YAML = Syntax(pattern=_IN_YAML, unknown="{{ placeholder }}", template_line=_TEMPLATE_LINE_AT_MARGIN)
