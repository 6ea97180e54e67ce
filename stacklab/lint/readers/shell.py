"""Read bash as far as answer files use it: assignments and calls in order; nothing is run.

Whatever stands inside `if`, a loop, a function, a subshell or behind `&&` is
`conditional`: it may happen, so a rule claims nothing from it.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from functools import cached_property

from stacklab.lint.readers.shell_words import ASSIGNMENT, Unclosed, UnclosedError, Word, tokens

__all__ = (
    "Assignment",
    "Call",
    "Script",
    "Unclosed",
    "UnclosedError",
    "Word",
    "read",
    "tokens",
)

_DECLARING = ("export", "declare", "readonly", "typeset", "local")
# Keyword -> the one that closes its block.
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
# Another command follows these on the same line.
_INSIDE = frozenset({"then", "else", "elif", "do", "!", "time"})
_KEYWORDS = frozenset({*_OPENING, *_CLOSING, *_INSIDE})
_WITHOUT_COMMAND = ("for", "case", "select")  # what follows on their line is not a command
_ARITHMETIC_ASSIGNMENT = re.compile(
    r"([A-Za-z_]\w*)\s*(?:<<|>>|[-+*/%&^|])?=(?!=)|([A-Za-z_]\w*)\s*(?:\+\+|--)"
    r"|(?:\+\+|--)\s*([A-Za-z_]\w*)"
)
_CHAINING = ("&&", "||", "|")
_OWN_PROCESS = ("|", "&")


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


@dataclass(frozen=True, kw_only=True)
class Script:
    """A script that was read: statements in order."""

    statements: tuple[Assignment | Call, ...]
    unclosed: Unclosed | None = None

    @cached_property
    def assignments(self) -> tuple[Assignment, ...]:
        """Return the assignments only."""
        return tuple(
            statement for statement in self.statements if isinstance(statement, Assignment)
        )

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """Return the calls only."""
        return tuple(statement for statement in self.statements if isinstance(statement, Call))


@functools.lru_cache(maxsize=1)  # a file's era is looked for, and then it is linted
def read(text: str) -> Script:
    """Read a whole file; if bash would stop reading, `unclosed` tells where."""
    parser = _Parser()
    try:
        for token in tokens(text):
            parser.take(token)
        parser.take("\n")  # the last line may lack its end
    except UnclosedError as error:
        # Statements before the open quote count: bash runs them before it finds the mistake.
        return Script(statements=tuple(parser.statements), unclosed=error.unclosed)
    outermost = parser.blocks[0] if parser.blocks else None
    return Script(statements=tuple(parser.statements), unclosed=outermost)


@dataclass(slots=True)
class _Parser:
    """Puts words together to statements and knows in which blocks they are."""

    statements: list[Assignment | Call] = field(default_factory=list)
    blocks: list[Unclosed] = field(default_factory=list)  # the outermost first
    words: list[Word] = field(default_factory=list)  # of the command that is being read
    is_chained: bool = False  # behind && or ||, or in a pipe
    line: int = 1

    def take(self, token: Word | str) -> None:
        """Take the next word or operator."""
        if isinstance(token, Word):
            self.line = token.line
            self.words.append(token)
        elif token == "(":
            self._end_command()
            self.blocks.append(Unclosed(line=self.line, mark="("))
        elif token == ")":
            self._close_parenthesis()
        elif self.words or token != "\n":  # a line's end behind && ends nothing
            # `a | b` and `a &` run a in a process of its own: what it sets is lost.
            self._end_command(is_chaining=token in _CHAINING, is_own_process=token in _OWN_PROCESS)

    def _is_in_subshell(self) -> bool:
        return bool(self.blocks) and self.blocks[-1].mark == "("

    def _close_parenthesis(self) -> None:
        if self._is_in_subshell():
            self._end_command()
            self.blocks.pop()
        else:  # `value)` of a case is a pattern, not a command
            self.words = []
            self.is_chained = False

    def _end_command(self, *, is_chaining: bool = False, is_own_process: bool = False) -> None:
        """End a command: take the keywords off its front, and keep the rest as a statement."""
        words = self.words
        self.words = []
        conditional = bool(self.blocks) or self.is_chained or is_own_process
        self.is_chained = is_chaining
        while words and words[0].raw in _KEYWORDS:
            keyword = words.pop(0)
            # A block that this command closes, or a keyword as `!`, makes it conditional, too.
            conditional = True
            self._open_or_close_block(keyword)
            if keyword.raw in _WITHOUT_COMMAND:
                return
        self._add_statements(words, conditional=conditional)

    def _open_or_close_block(self, keyword: Word) -> None:
        if keyword.raw in _OPENING:
            self.blocks.append(Unclosed(line=keyword.line, mark=keyword.raw))
        elif keyword.raw in _CLOSING and self.blocks and not self._is_in_subshell():
            self.blocks.pop()

    def _add_arithmetic(self, word: Word) -> None:
        """Keep what `((...))` may set: its values are computed, so none is known."""
        for match in _ARITHMETIC_ASSIGNMENT.finditer(word.raw):
            name = match[1] or match[2] or match[3]
            unknown = Word(line=word.line, text="", raw="", live="$((0))")
            self.statements.append(
                Assignment(line=word.line, name=name, value=unknown, conditional=True)
            )

    def _add_statements(self, words: list[Word], *, conditional: bool) -> None:
        if words and words[0].raw.startswith("(("):
            self._add_arithmetic(words[0])
            return
        if words and words[0].raw in _DECLARING:
            # Options of `declare`, and names without a value, set nothing.
            words = [word for word in words[1:] if ASSIGNMENT.match(word.raw)]
        leading: list[Assignment] = []
        while words and ASSIGNMENT.match(words[0].raw):
            assignment = _read_assignment(words.pop(0), conditional=conditional)
            leading.append(assignment)
        if not words:
            self.statements += leading
            return
        # Assignments in front of a command hold for it alone.
        command, *arguments = words
        call = Call(
            line=leading[0].line if leading else command.line,
            name=command.text,
            args=tuple(arguments),
            prefix=tuple(assignment.name for assignment in leading),
            conditional=conditional,
        )
        self.statements.append(call)


def _read_assignment(word: Word, *, conditional: bool) -> Assignment:
    match = ASSIGNMENT.match(word.raw)
    assert match is not None
    cut = match.end()
    # What is quoted is not in `live`, so the name and its = may be missing there.
    live = word.live[cut:] if word.live.startswith(match[0]) else word.live
    value = Word(
        line=word.line,
        text=word.text[cut:],
        raw=word.raw[cut:],
        live=live,
    )
    return Assignment(
        line=word.line,
        name=match[1],
        value=value,
        is_appended=bool(match[3]),
        is_element=bool(match[2]),
        conditional=conditional,
    )
