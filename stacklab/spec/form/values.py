"""Readers of a spec's values: each takes the text that was written and returns the value.

A reader raises Wrong with what is wrong and what would be right. The `..._reader` functions make
readers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

from stacklab.model.release_names import plain_name
from stacklab.spec.mistakes import quote
from stacklab.words import suggest

# Patterns of whole texts; the JSON Schema uses them, too, so they are in the syntax that both
# Python and ECMAScript understand.
NAME = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
NODE_NAME = r"[a-z]([a-z0-9-]*[a-z0-9])?"
IMAGE = r"[a-z0-9][a-z0-9._-]{0,59}"
BRIDGE = r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}"  # IFNAMSIZ is 16, with the final NUL
BRANCH = r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}"
AMOUNT = r"[0-9]{1,9}(\.[0-9]{1,6})?"

# Both names are in the path of an ssh socket, which the kernel limits to 107 characters.
LAB_NAME_LENGTH = 30
NAME_LENGTH = 20
LONGEST_COMMAND = 8000

Word = TypeVar("Word", bound=StrEnum)
Number = TypeVar("Number", int, float)


class Wrong(ValueError):
    """A value that a spec cannot have; `right` says what it could be instead."""

    def __init__(self, wrong: str, right: str = "") -> None:
        super().__init__(wrong)
        self.wrong = wrong
        self.right = right


def read_text(value: object) -> str:
    """Return a text; raise Wrong for a list or a mapping."""
    if isinstance(value, str):
        return value
    # Scalars are texts (see source.py), so it can be nothing but one of these.
    kind = "a list" if isinstance(value, list) else "a mapping"
    raise Wrong(f"{kind}, where one value is expected")


def read_line(value: object) -> str:
    """Return one line of text."""
    text = read_text(value).strip()
    if "\n" in text:
        raise Wrong("is more than one line", "one line; comments can say more")
    return text


def read_phrase(value: object) -> str:
    """Return one line of text that is not empty."""
    text = read_line(value)
    if not text:
        raise Wrong("is empty", "write some text, or remove the key")
    return text


def read_command(value: object) -> str:
    """Return a shell command, which may have several lines."""
    text = read_text(value).strip("\n")
    if not text.strip():
        raise Wrong("is empty", "write a command, e.g. systemctl is-active ssh")
    if len(text) > LONGEST_COMMAND:
        raise Wrong(
            f"has {len(text)} characters",
            f"{LONGEST_COMMAND} at most; put a script on the node and call it",
        )
    return text


def name_problem(name: str, length: int, pattern: str = NAME) -> tuple[str, str] | None:
    """Return what is wrong with a name and what would be right; None for a host name."""
    if len(name) > length:
        return f"{quote(name)} is longer than {length} characters", "shorten it"
    if re.fullmatch(pattern, name):
        return None
    right = "lower-case letters and digits, with - between them"
    if pattern == NODE_NAME and re.fullmatch(NAME, name):
        # inet_aton(3) reads `1` and `0x1f` as addresses: `ping 1` pings 0.0.0.1.
        right = "begin with a letter"
    return f"{quote(name)} is not a host name", right


def name_reader(length: int, pattern: str = NAME) -> Callable[[object], str]:
    """Make a reader of host names that have at most `length` characters."""

    def read(value: object) -> str:
        name = read_text(value)
        problem = name_problem(name, length, pattern)
        if problem:
            raise Wrong(*problem)
        return name

    return read


def pattern_reader(
    pattern: str, what: str, right: str, *, is_shown: bool = True
) -> Callable[[object], str]:
    """Make a reader of texts that match a pattern; `what` names such a text.

    Unless `is_shown`, the error does not repeat the text: it might be a secret.
    """
    article = "an" if what[0] in "aeiou" else "a"

    def read(value: object) -> str:
        text = read_text(value)
        if not re.fullmatch(pattern, text):
            shown = quote(text) if is_shown else "it"
            raise Wrong(f"{shown} is not {article} {what}", right)
        return text

    return read


def word_reader(kind: type[Word]) -> Callable[[object], Word]:
    """Make a reader of an enum's words."""

    def read(value: object) -> Word:
        text = read_text(value)
        try:
            return kind(text)
        except ValueError:
            raise Wrong(f"{quote(text)} is unknown", suggest(text, kind, label="known")) from None

    return read


def read_flag(value: object) -> bool:
    """Return True for `true` and False for `false`."""
    text = read_text(value)
    if text not in ("true", "false"):
        raise Wrong(f"{quote(text)} is neither true nor false", "true or false")
    return text == "true"


_read_branch = pattern_reader(BRANCH, "release", "e.g. mitaka or 2026.1")


def read_release(value: object) -> str:
    """Return a release by its name, or by a branch or tag: stable/mitaka or mitaka-eol."""
    return plain_name(_read_branch(value))


def number_reader(
    kind: type[Number], low: int, high: int, unit: str = ""
) -> Callable[[object], Number]:
    """Make a reader of numbers from `low` to `high`."""
    pattern, what = AMOUNT, "number"
    if kind is int:
        pattern, what = r"[0-9]{1,9}", "whole number"
    right = f"{low} to {high}"
    if unit:
        what += f" of {unit}"
        right += f" {unit}"

    def read(value: object) -> Number:
        text = read_text(value)
        if not re.fullmatch(pattern, text):
            raise Wrong(f"{quote(text)} is not a {what}", right)
        refuse_leading_zeros(text, _plain_number(text))
        number = kind(text)
        if not low <= number <= high:
            raise Wrong(f"{text} is out of range", right)
        return number

    return read


def refuse_leading_zeros(text: str, plain: str) -> None:
    """Raise Wrong if a number was written otherwise than `plain`, without zeros in front."""
    if plain != text:
        raise Wrong(
            f"{text} has a number that begins with 0, which some programs take for octal",
            f"write {plain}",
        )


def _plain_number(text: str) -> str:
    return re.sub(r"^0+(?=[0-9])", "", text)
