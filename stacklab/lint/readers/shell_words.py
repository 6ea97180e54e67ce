"""Split a text into words and operators as bash does; nothing is expanded or run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

# NAME=, NAME[key]= or NAME+=, at the beginning of a word.
ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\[[^]=]*\])?(\+?)=")

_REFERENCE = re.compile(r"\$(?:\{[#!]?)?([A-Za-z_][A-Za-z0-9_]*)")
_DYNAMIC = re.compile(r"[$`]")
_REDIRECTION = re.compile(r"<<<|<<-?|<>|>>|>\||[<>]&?")
# The longest run of characters that mean themselves: one match is faster than many steps.
_PLAIN = re.compile(r"""[^\s;&|<>()'"`$\\]+""")
_ANSI_QUOTED = re.compile(r"\$'((?:[^'\\]|\\.)*+)'", re.DOTALL)
# ((...)), with parentheses of its own; a subshell that begins with another one does not end so.
_ARITHMETIC = re.compile(r"\(\((?:[^()]++|\((?:[^()]++|\([^()]*+\))*+\))*+\)\)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}  # in $'...'

_BLANKS = (" ", "\t")
_WORD_ENDS = " \t\n;&|<>()"
_TWO_CHARACTER_OPERATORS = ("&&", "||", ";;")
_SUBSTITUTIONS = ("$(", "${", "`")
_CLOSING_OF = {"$(": ")", "(": ")", "${": "}", "`": "`"}
_DEEPEST = 50  # nested substitutions; nobody writes more, and Python has its own limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word of a command; `text` has its quotes removed and its `$` left as written."""

    line: int
    text: str
    raw: str
    live: str = ""  # those parts in which bash expands `$` and backticks

    @property
    def is_dynamic(self) -> bool:
        """Return True if bash replaces something in it."""
        return bool(_DYNAMIC.search(self.live))

    @property
    def names(self) -> tuple[str, ...]:
        """Return the variables that it refers to."""
        return tuple(_REFERENCE.findall(self.live))


@dataclass(frozen=True, slots=True, kw_only=True)
class Unclosed:
    """A quote or a block that was opened; the file may end in it."""

    line: int
    mark: str  # `"`, `'`, `if`, ...


class UnclosedError(Exception):
    """Raised by `tokens` where the text ends inside a quote."""

    def __init__(self, line: int, mark: str) -> None:
        super().__init__(mark)
        self.unclosed = Unclosed(line=line, mark=mark)


def tokens(text: str) -> Iterator[Word | str]:
    """Yield the words and operators of a text; raises UnclosedError."""
    return _Lexer(text).read_tokens()


@dataclass(slots=True)
class _Lexer:
    """A position in a text, and what was opened before it."""

    text: str
    at: int = 0
    line: int = 1
    depth: int = 0  # of substitutions
    # The end marks of here-documents whose bodies follow this line; True for `<<-`.
    heredocs: list[tuple[str, bool]] = field(default_factory=list)

    def read_tokens(self) -> Iterator[Word | str]:
        """Yield words, and operators as they are; comments and redirections are left out."""
        while not self._is_at_end():
            char = self.text[self.at]
            if char in _BLANKS:
                self._skip(1)
            elif self._is_next("\\\n"):
                self._skip(2)
            elif char == "#":
                self._skip_comment()
            elif char == "\n":
                # First the line's end, then its here-documents: an unclosed one does not
                # take away the command that it belongs to.
                yield "\n"
                self._skip(1)
                self._skip_heredocs()
            elif arithmetic := _ARITHMETIC.match(self.text, self.at):
                line = self.line
                yield Word(line=line, text=arithmetic[0], raw=arithmetic[0])
                self._skip(len(arithmetic[0]))
            elif char in "<>":
                self._skip_redirection()
            elif char in ";&|()":
                yield self._take_operator(char)
            else:
                yield self._take_word()

    def _is_at_end(self) -> bool:
        # An escape at the very end moves the position beyond it.
        return self.at >= len(self.text)

    def _is_next(self, *options: str) -> bool:
        return self.text.startswith(options, self.at)

    def _skip(self, count: int) -> str:
        """Go on by so many characters, and return them."""
        passed = self.text[self.at : self.at + count]
        self.line += passed.count("\n")
        self.at += count
        return passed

    def _skip_comment(self) -> None:
        line_end = self.text.find("\n", self.at)
        self.at = len(self.text) if line_end < 0 else line_end

    def _skip_line(self) -> str:
        """Go to the beginning of the next line, and return the one that was passed."""
        line_end = self.text.find("\n", self.at)
        next_line = len(self.text) if line_end < 0 else line_end + 1
        return self._skip(next_line - self.at).removesuffix("\n")

    def _skip_redirection(self) -> None:
        """Skip `> file` and the like; a here-document's body comes after the line."""
        match = _REDIRECTION.match(self.text, self.at)
        operator = match[0] if match else self.text[self.at]
        self.at += len(operator)
        while self._is_next(*_BLANKS):
            self.at += 1
        if self._is_at_end() or self._is_next(*_WORD_ENDS):
            return
        target = self._take_word()
        if operator in ("<<", "<<-"):
            is_indented = operator == "<<-"
            self.heredocs.append((target.text, is_indented))

    def _skip_heredocs(self) -> None:
        for mark, is_indented in self.heredocs:
            self._skip_heredoc(mark, is_indented=is_indented)
        self.heredocs.clear()

    def _skip_heredoc(self, mark: str, *, is_indented: bool) -> None:
        opening_line = self.line - 1
        while True:
            if self._is_at_end():
                raise UnclosedError(opening_line, f"<<{mark}")
            body_line = self._skip_line()
            if is_indented:
                body_line = body_line.lstrip("\t")
            if body_line == mark:
                return

    def _take_operator(self, char: str) -> str:
        pair = self.text[self.at : self.at + 2]
        operator = pair if pair in _TWO_CHARACTER_OPERATORS else char
        self.at += len(operator)
        return operator

    def _take_word(self) -> Word:
        start = self.at
        line = self.line
        text = ""
        live = ""
        while not self._is_at_end() and self.text[self.at] not in _WORD_ENDS:
            piece, live_piece = self._take_piece()
            text += piece
            live += live_piece
            # NAME=(...), where neither quotes nor a backslash protect the =.
            is_array = live_piece.endswith("=") and self.text.startswith("=(", self.at - 1)
            if is_array and ASSIGNMENT.fullmatch(text):
                text += self._take_nested()
        raw = self.text[start : self.at]
        return Word(line=line, text=text, raw=raw, live=live)

    def _take_piece(self) -> tuple[str, str]:
        """Read one part of a word; return its text, and those parts that bash expands."""
        char = self.text[self.at]
        if char == "\\":
            escaped = self._skip(2)[1:]
            return escaped.removeprefix("\n"), ""  # an escaped newline is nothing at all
        if char == "'":
            return self._take_single_quoted(), ""
        if self._is_next("$'"):
            return self._take_ansi_quoted(), ""
        if char == '"':
            inner = self._take_double_quoted()
            # Between double quotes, a backslash is one unless it protects one of these four.
            text = re.sub(r'\\(["\\$`])', r"\1", inner.replace("\\\n", ""))
            live = re.sub(r"\\.", "", inner)
            return text, live
        if self._is_next(*_SUBSTITUTIONS):
            substitution = self._take_nested()
            return substitution, substitution
        match = _PLAIN.match(self.text, self.at)
        # Without a match it is a lone `$`, or a blank of another alphabet.
        plain = self._skip(len(match[0]) if match else 1)
        return plain, plain

    def _take_single_quoted(self) -> str:
        """Return what is between '...', where a backslash is one, too."""
        opening_line = self.line
        closing = self.text.find("'", self.at + 1)
        if closing < 0:
            raise UnclosedError(opening_line, "'")
        quoted = self._skip(closing + 1 - self.at)
        return quoted[1:-1]

    def _take_ansi_quoted(self) -> str:
        """Return what $'...' stands for."""
        match = _ANSI_QUOTED.match(self.text, self.at)
        if match is None:
            raise UnclosedError(self.line, "'")
        self._skip(len(match[0]))
        return re.sub(r"\\(.)", _unescape, match[1])

    def _take_double_quoted(self) -> str:
        """Return what is between double quotes, as it is written there."""
        quoted = self._take_enclosed(
            opening='"',
            closing='"',
            skip_part=self._skip_in_double_quotes,
        )
        return quoted[1:-1]

    def _skip_in_double_quotes(self) -> None:
        if self._is_next(*_SUBSTITUTIONS):
            self._take_nested()  # quotes inside it are its own
        else:
            self._skip_character()

    def _take_nested(self) -> str:
        """Read `$(...)`, `${...}`, an array's `(...)` or backticks, with all that is inside."""
        opening = self.text[self.at]
        if opening == "$":
            opening = self.text[self.at : self.at + 2]
        closing = _CLOSING_OF[opening]
        self.depth += 1
        if self.depth > _DEEPEST:
            raise UnclosedError(self.line, opening)
        skip_part = self._skip_in_command if closing == ")" else self._skip_in_expansion
        nested = self._take_enclosed(opening, closing, skip_part)
        self.depth -= 1
        return nested

    def _take_enclosed(self, opening: str, closing: str, skip_part: Callable[[], None]) -> str:
        """Read from an opening to its closing character; `skip_part` passes what is inside."""
        start = self.at
        opening_line = self.line
        self._skip(len(opening))
        while not self._is_next(closing):
            if self._is_at_end():
                raise UnclosedError(opening_line, opening)
            skip_part()
        self._skip(1)
        return self.text[start : self.at]

    def _skip_in_command(self) -> None:
        """Pass over one character, or one quoted or nested part, inside `$(...)`."""
        if self._is_next("'"):
            self._take_single_quoted()
        elif self._is_next("("):
            self._take_nested()
        else:
            self._skip_in_expansion()

    def _skip_in_expansion(self) -> None:
        """Pass over one character, or one part, inside `${...}` or backticks.

        A single quote need not have a partner there.
        """
        if self._is_next('"'):
            self._take_double_quoted()
        elif self._is_next("$(", "${"):
            self._take_nested()
        else:
            self._skip_character()

    def _skip_character(self) -> None:
        """Pass over one character; a backslash protects the one behind it."""
        self._skip(2 if self.text[self.at] == "\\" else 1)


def _unescape(escape: re.Match[str]) -> str:
    return _ESCAPES.get(escape[1], escape[1])
