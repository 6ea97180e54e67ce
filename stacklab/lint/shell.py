"""Read bash as far as answer files use it: assignments and calls in order; nothing is run.

Whatever stands inside `if`, a loop, a function, a subshell or behind `&&` is
`conditional`: it may happen, so a rule claims nothing from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\[[^]=]*\])?(\+?)=")
_REFERENCE = re.compile(r"\$(?:\{[#!]?)?([A-Za-z_][A-Za-z0-9_]*)")
_DYNAMIC = re.compile(r"[$`]")
_DECLARING = ("export", "declare", "readonly", "typeset", "local")
_OPENING = {
    "if": "fi",
    "for": "done",
    "while": "done",
    "until": "done",
    "select": "done",
    "case": "esac",
    "{": "}",
}
_CLOSING = frozenset(_OPENING.values())
_INSIDE = frozenset(
    {"then", "else", "elif", "do", "!", "time"}
)  # another command follows on the same line
_KEYWORDS = frozenset({*_OPENING, *_CLOSING, *_INSIDE})
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}  # in $'...'
_META = " \t\n;&|<>()"
_PLAIN = re.compile(r"""[^\s;&|<>()'"`$\\]+""")
_REDIRECTION = re.compile(r"<<<|<<-?|<>|>>|>\||[<>]&?")
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
class Assignment:
    """`NAME=value`, exported or not."""

    line: int
    name: str
    value: Word
    is_appended: bool = False
    is_element: bool = False  # NAME[key]=value
    conditional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A command with its words; `prefix` are the assignments that hold for it alone."""

    line: int
    name: str
    args: tuple[Word, ...]
    prefix: tuple[str, ...] = ()
    conditional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unclosed:
    """A quote or a block that the file ends in."""

    line: int
    mark: str  # `"`, `'`, `if`, ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script that was read: statements in order."""

    statements: tuple[Assignment | Call, ...]
    unclosed: Unclosed | None = None

    @property
    def assignments(self) -> tuple[Assignment, ...]:
        """Return the assignments only."""
        return tuple(
            statement for statement in self.statements if isinstance(statement, Assignment)
        )

    @property
    def calls(self) -> tuple[Call, ...]:
        """Return the calls only."""
        return tuple(statement for statement in self.statements if isinstance(statement, Call))


class UnclosedError(Exception):
    """Raised by `tokens` where the text ends inside a quote."""

    def __init__(self, line: int, mark: str) -> None:
        super().__init__(mark)
        self.unclosed = Unclosed(line=line, mark=mark)


def read(text: str) -> Script:
    """Read a whole file; if bash would stop reading, `unclosed` tells where."""
    parser = _Parser()
    try:
        for token in _Lexer(text).tokens():
            parser.take(token)
        parser.take("\n")
    except UnclosedError as error:
        return Script(statements=tuple(parser.statements), unclosed=error.unclosed)
    unclosed = (
        Unclosed(line=parser.blocks[0][1], mark=parser.blocks[0][0]) if parser.blocks else None
    )
    return Script(statements=tuple(parser.statements), unclosed=unclosed)


def tokens(text: str) -> Iterator[Word | str]:
    """Return the words and operators of a text; raises UnclosedError."""
    return _Lexer(text).tokens()


@dataclass(slots=True)
class _Lexer:
    """Splits a text into words and operators."""

    text: str
    at: int = 0
    line: int = 1
    depth: int = 0
    heredocs: list[tuple[str, bool]] = field(default_factory=list)

    def tokens(self) -> Iterator[Word | str]:
        """Yield words, and operators as they are."""
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in " \t":
                self.at += 1
            elif self.text.startswith("\\\n", self.at):
                self._skip(2)
            elif char == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif char == "\n":
                yield "\n"
                self._skip(1)
                self._skip_heredocs()
            elif char in "<>":
                self._redirect()
            elif char in ";&|()":
                operator = self.text[self.at : self.at + 2]
                operator = operator if operator in ("&&", "||", ";;") else char
                yield operator
                self.at += len(operator)
            else:
                yield self._word()

    def _skip(self, count: int) -> str:
        passed = self.text[self.at : self.at + count]
        self.line += passed.count("\n")
        self.at += count
        return passed

    def _redirect(self) -> None:
        """Skip `> file` and the like; a here-document's body comes after the line."""
        match = _REDIRECTION.match(self.text, self.at)
        operator = match[0] if match else self.text[self.at]
        self.at += len(operator)
        while self.text[self.at : self.at + 1] in (" ", "\t"):
            self.at += 1
        if self.text[self.at : self.at + 1] in ("", *_META):
            return
        target = self._word()
        if operator in ("<<", "<<-"):
            self.heredocs.append((target.text, operator == "<<-"))

    def _skip_heredocs(self) -> None:
        for mark, is_indented in self.heredocs:
            start = self.line
            while True:
                if self.at >= len(self.text):
                    raise UnclosedError(start - 1, f"<<{mark}")
                end = self.text.find("\n", self.at)
                body = self._skip((len(self.text) if end < 0 else end + 1) - self.at).removesuffix(
                    "\n"
                )
                if (body.lstrip("\t") if is_indented else body) == mark:
                    break
        self.heredocs.clear()

    def _word(self) -> Word:
        start, line, text, live = self.at, self.line, "", ""
        while self.at < len(self.text) and self.text[self.at] not in _META:
            piece, live_piece = self._piece()
            text, live = text + piece, live + live_piece
            # NAME=(...), where neither quotes nor a backslash protect the =.
            is_array = live_piece.endswith("=") and self.text.startswith("=(", self.at - 1)
            if is_array and _ASSIGNMENT.fullmatch(text):
                text += self._nested()
        return Word(line=line, text=text, raw=self.text[start : self.at], live=live)

    def _piece(self) -> tuple[str, str]:
        """Read one part of a word; return its text, and those parts that bash expands."""
        char = self.text[self.at]
        if char == "\\":  # an escaped newline is nothing at all
            return self._skip(2)[1:].removeprefix("\n"), ""
        if char == "'":
            return self._single(1), ""
        if self.text.startswith("$'", self.at):
            return self._single(2), ""
        if char == '"':
            inner = self._double()
            # Between double quotes, a backslash is one unless it protects one of these four.
            text = re.sub(r'\\(["\\$`])', r"\1", inner.replace("\\\n", ""))
            return text, re.sub(r"\\.", "", inner)
        if char == "`" or self.text.startswith(("$(", "${"), self.at):
            inner = self._nested()
            return inner, inner
        plain = _PLAIN.match(self.text, self.at)
        inner = self._skip(len(plain[0]) if plain else 1)
        return inner, inner

    def _single(self, opening: int) -> str:
        line = self.line
        self._skip(opening)
        end = self.at
        while end < len(self.text) and self.text[end] != "'":
            end += 2 if opening == 2 and self.text[end] == "\\" else 1
        if end >= len(self.text):
            raise UnclosedError(line, "'")
        inner = self._skip(end + 1 - self.at)[:-1]
        return (
            re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), inner)
            if opening == 2
            else inner
        )

    def _double(self) -> str:
        line, start = self.line, self.at + 1
        self._skip(1)
        while self.at < len(self.text) and self.text[self.at] != '"':
            if self.text[self.at : self.at + 2] in ("$(", "${") or self.text[self.at] == "`":
                self._nested()
            else:
                self._skip(2 if self.text[self.at] == "\\" else 1)
        if self.at >= len(self.text):
            raise UnclosedError(line, '"')
        self._skip(1)
        return self.text[start : self.at - 1]

    def _nested(self) -> str:
        """Read `$(...)`, `${...}`, an array's `(...)` or backticks, with all that is inside."""
        line, start = self.line, self.at
        opening = self.text[self.at]
        if opening == "$":
            opening = self.text[self.at : self.at + 2]
        closing = {"$(": ")", "(": ")", "${": "}", "`": "`"}[opening]
        self._skip(len(opening))
        self.depth += 1
        if self.depth > _DEEPEST:
            raise UnclosedError(line, opening)
        while self.at < len(self.text) and self.text[self.at] != closing:
            self._inside(is_command=closing == ")")
        if self.at >= len(self.text):
            raise UnclosedError(line, opening)
        self._skip(1)
        self.depth -= 1
        return self.text[start : self.at]

    def _inside(self, *, is_command: bool) -> None:
        """Pass over one character, or one quoted or nested part, inside a substitution."""
        char = self.text[self.at]
        if char == "'" and is_command:  # in ${...} and backticks it need not have a partner
            self._single(1)
        elif char == '"':
            self._double()
        elif self.text.startswith(("$(", "${"), self.at) or (char == "(" and is_command):
            self._nested()
        else:
            self._skip(2 if char == "\\" else 1)


@dataclass(slots=True)
class _Parser:
    """Puts words together to statements and knows in which blocks they are."""

    statements: list[Assignment | Call] = field(default_factory=list)
    blocks: list[tuple[str, int]] = field(default_factory=list)  # keyword, line
    words: list[Word] = field(default_factory=list)
    is_chained: bool = False  # behind && or ||, or in a pipe
    line: int = 1

    def take(self, token: Word | str) -> None:
        """Return the next word or operator."""
        if isinstance(token, Word):
            self.line = token.line
            self.words.append(token)
            return
        is_chaining = token in ("&&", "||", "|")
        if token == "(":
            self._end(is_chaining=False)
            self.blocks.append(("(", self.line))
        elif token == ")":
            in_subshell = bool(self.blocks) and self.blocks[-1][0] == "("
            self._end(is_chaining=False, is_pattern=not in_subshell)
            if in_subshell:
                self.blocks.pop()
        elif self.words or token != "\n":  # a line's end behind && ends nothing
            # `a | b` and `a &` run a in a process of its own: what it sets is lost.
            self._end(is_chaining=is_chaining, is_own_process=token in ("|", "&"))

    def _end(
        self, *, is_chaining: bool, is_own_process: bool = False, is_pattern: bool = False
    ) -> None:
        """End a command: take the keywords off its front, and keep the rest as a statement."""
        words, self.words = self.words, []
        conditional = bool(self.blocks) or self.is_chained or is_own_process
        self.is_chained = is_chaining
        if is_pattern:  # `value)` of a case
            return
        while words and words[0].raw in _KEYWORDS:
            word = words.pop(0)
            conditional = True
            if word.raw in _OPENING:
                self.blocks.append((word.raw, word.line))
                if word.raw in ("for", "case", "select"):  # the rest of these is not a command
                    return
            elif word.raw in _CLOSING and self.blocks and self.blocks[-1][0] != "(":
                self.blocks.pop()
        self._state(words, conditional)

    def _state(self, words: list[Word], conditional: bool) -> None:
        if words and words[0].raw in _DECLARING:
            words = [word for word in words[1:] if _ASSIGNMENT.match(word.raw)]
        leading = []
        while words and _ASSIGNMENT.match(words[0].raw):
            leading.append(_assignment(words.pop(0), conditional))
        if not words:
            self.statements += leading
            return
        self.statements.append(
            Call(
                line=leading[0].line if leading else words[0].line,
                name=words[0].text,
                args=tuple(words[1:]),
                prefix=tuple(assignment.name for assignment in leading),
                conditional=conditional,
            )
        )


def _assignment(word: Word, conditional: bool) -> Assignment:
    match = _ASSIGNMENT.match(word.raw)
    assert match is not None
    cut = match.end()
    live = word.live[cut:] if word.live.startswith(match[0]) else word.live
    return Assignment(
        line=word.line,
        name=match[1],
        is_appended=bool(match[3]),
        is_element=bool(match[2]),
        conditional=conditional,
        value=Word(line=word.line, text=word.text[cut:], raw=word.raw[cut:], live=live),
    )
