"""Read a Packstack answer file as Python's configparser does, and remember the lines.

Packstack up to Rocky ran on Python 2, whose parser merges equal sections, lets the last
of two equal keys win, cuts a value at ` ;` and takes an indented comment for a value;
Python 3's refuses the first two and keeps the others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

SECTION = "general"

_HEADER = re.compile(r"\[(?P<name>.+)\]")  # greedy, as configparser's
_OPTION = re.compile(r"(?P<key>.*?)\s*[=:]\s*(?P<value>.*)$")


@dataclass(slots=True, kw_only=True)
class AnswerEntry:
    """A key with its value, as the parser has them; keys are case-insensitive."""

    key: str  # upper case
    value: str
    line: int
    section: str
    joined: list[int] = field(
        default_factory=list
    )  # lines that were taken for the value's continuation


@dataclass(frozen=True, slots=True)
class Header:
    """A section's header and where it stood; `again` is where the same one stood before."""

    name: str
    line: int
    again: int = 0


@dataclass(frozen=True, slots=True)
class Answers:
    """An answer file, read; what the parser refuses is in `homeless` and `broken`."""

    entries: tuple[AnswerEntry, ...]
    headers: tuple[Header, ...]
    homeless: int  # the first line before any header; 0: none
    broken: tuple[int, ...]  # lines that are not `key=value`

    @property
    def general(self) -> tuple[AnswerEntry, ...]:
        """Return the entries that Packstack reads: those of [general] and of [DEFAULT].

        Every section has what [DEFAULT] holds.
        """
        return tuple(entry for entry in self.entries if entry.section in (SECTION, "DEFAULT"))


def read(lines: tuple[str, ...], *, python2: bool = False) -> Answers:
    """Read the lines of an answer file."""
    return _IniReader(python2).read(lines)


class _IniReader:
    def __init__(self, python2: bool) -> None:
        self.python2 = python2
        self.entries: list[AnswerEntry] = []
        self.headers: list[Header] = []
        self.broken: list[int] = []
        self.homeless = 0
        self._current: AnswerEntry | None = None
        self._indent = 0

    def read(self, lines: tuple[str, ...]) -> Answers:
        for number, line in enumerate(lines, start=1):
            text = line.strip()
            if not text or (line if self.python2 else text).startswith(("#", ";")):
                continue
            if self._current is not None and self._is_continuation(line):
                self._current.value += "\n" + text
                self._current.joined.append(number)
                continue
            self._indent = _indent(line)
            self._take(text if not self.python2 else line.rstrip(), number)
            if self.homeless:
                break  # the parser gives up here
        return Answers(tuple(self.entries), tuple(self.headers), self.homeless, tuple(self.broken))

    def _is_continuation(self, line: str) -> bool:
        return line[:1].isspace() if self.python2 else _indent(line) > self._indent

    def _take(self, text: str, number: int) -> None:
        """Read a header, or a key and its value."""
        if match := _HEADER.match(text):
            name = match["name"]
            again = next((header.line for header in self.headers if header.name == name), 0)
            self.headers.append(Header(name, number, again))
            self._current = None
        elif not self.headers:
            self.homeless = number
        elif (
            (option := _OPTION.match(text))
            and option["key"]
            and not (self.python2 and text[0].isspace())
        ):
            value = option["value"]
            if self.python2 and (cut := re.search(r"\s;", value)):
                value = value[: cut.start()]
            section = self.headers[-1].name
            self._current = AnswerEntry(
                key=option["key"].upper(), value=value.strip(), line=number, section=section
            )
            self.entries.append(self._current)
        else:
            self.broken.append(number)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
