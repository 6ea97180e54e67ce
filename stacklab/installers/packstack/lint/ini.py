"""Read a Packstack answer file as Python's configparser does, and remember the lines.

Packstack up to Rocky ran on Python 2, whose parser merges equal sections, lets the last
of two equal keys win, cuts a value at ` ;` and takes an indented comment for a value;
Python 3's refuses the first two and keeps the others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

SECTION = "general"
# configparser copies what this section holds into every other section.
SHARED_SECTION = "DEFAULT"

_HEADER = re.compile(r"\[(?P<name>.+)\]")  # greedy, as configparser's
_OPTION = re.compile(r"(?P<key>.*?)\s*[=:]\s*(?P<value>.*)$")
_PYTHON2_COMMENT = re.compile(r"\s;")  # behind a value; a # there is a part of the value


@dataclass(slots=True, kw_only=True)
class AnswerEntry:
    """A key with its value, as the parser has them; keys are case-insensitive."""

    key: str  # upper case
    value: str
    line: int
    section: str
    # Lines that the parser took for the value's continuation.
    joined: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionHeader:
    """A section's header; `again` is the line of an earlier header of this name, 0 for none."""

    name: str
    line: int
    again: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedAnswers:
    """An answer file, read; what the parser refuses is in `homeless` and `broken`."""

    entries: tuple[AnswerEntry, ...]
    headers: tuple[SectionHeader, ...]
    homeless: int  # the first line before any header; 0: none
    broken: tuple[int, ...]  # lines that are not `key=value`

    @property
    def general(self) -> tuple[AnswerEntry, ...]:
        """Return the entries that Packstack reads: those of [general] and of [DEFAULT]."""
        read_sections = (SECTION, SHARED_SECTION)
        return tuple(entry for entry in self.entries if entry.section in read_sections)

    @property
    def has_general(self) -> bool:
        """Return True if there is a header [general]."""
        return any(header.name == SECTION for header in self.headers)


def read_answers(lines: tuple[str, ...], *, python2: bool = False) -> ParsedAnswers:
    """Read the lines of an answer file."""
    return _IniReader(python2).read_lines(lines)


class _IniReader:
    """A reader of one file, which holds what it has read so far."""

    def __init__(self, python2: bool) -> None:
        self.python2 = python2
        self.entries: list[AnswerEntry] = []
        self.headers: list[SectionHeader] = []
        self.broken: list[int] = []
        self.homeless = 0
        self._first_lines: dict[str, int] = {}  # of each section
        self._current: AnswerEntry | None = None  # the entry that an indented line continues
        self._indent = 0  # of the line that began the current entry

    def read_lines(self, lines: tuple[str, ...]) -> ParsedAnswers:
        for number, line in enumerate(lines, start=1):
            if self._is_skipped(line):
                continue
            text = line.strip()
            if self._current is not None and self._is_continuation(line):
                self._current.value += "\n" + text
                self._current.joined.append(number)
                continue
            self._indent = _indent_of(line)
            # Python 2's parser does not strip what begins with a blank, and refuses it below.
            self._take_line(line.rstrip() if self.python2 else text, number)
            if self.homeless:
                break  # the parser gives up here
        return ParsedAnswers(
            entries=tuple(self.entries),
            headers=tuple(self.headers),
            homeless=self.homeless,
            broken=tuple(self.broken),
        )

    def _is_skipped(self, line: str) -> bool:
        """Return True for a blank line and a comment; Python 2's parser indents no comment."""
        text = line.strip()
        comment = line if self.python2 else text
        return not text or comment.startswith(("#", ";"))

    def _is_continuation(self, line: str) -> bool:
        """Return True if a line continues the value of the entry above it."""
        # Python 3's parser compares with the key's own indentation, Python 2's with none.
        if self.python2:
            return line[:1].isspace()
        return _indent_of(line) > self._indent

    def _take_line(self, text: str, number: int) -> None:
        """Read a header, or a key and its value."""
        header = _HEADER.match(text)
        if header is not None:
            self._take_header(header["name"], number)
        elif not self.headers:
            self.homeless = number
        else:
            self._take_option(text, number)

    def _take_header(self, name: str, number: int) -> None:
        """Begin a section; Python 3's parser stops at a second one of its name."""
        again = self._first_lines.get(name, 0)
        self._first_lines.setdefault(name, number)
        self.headers.append(SectionHeader(name=name, line=number, again=again))
        self._current = None

    def _take_option(self, text: str, number: int) -> None:
        """Add a key and its value to the current section, or note that the line is neither."""
        option = _OPTION.match(text)
        is_refused = self.python2 and text[0].isspace()
        if option is None or not option["key"] or is_refused:
            self.broken.append(number)
            return
        value = option["value"]
        if self.python2:
            value = _PYTHON2_COMMENT.split(value, maxsplit=1)[0]
        self._current = AnswerEntry(
            key=option["key"].upper(),
            value=value.strip(),
            line=number,
            section=self.headers[-1].name,
        )
        self.entries.append(self._current)


def _indent_of(line: str) -> int:
    return len(line) - len(line.lstrip())
