"""Foreign text: what a node, a guest's console or a program on a node wrote.

Root on a node may be hostile, so such text must not move a terminal's cursor, set its
title, fill the clipboard, or stand at the start of a line where a reader expects our own
words; nor may it give orders to the CI system that reads our output as its log.
`printable` is the only function that makes foreign text fit to be shown; all boundaries use
it: a check's result, an error's message, progress, the event log, a console, and the output
of commands on nodes.

`Foreign` carries such text where it is passed on as a value. The answers of checks are
the exception: families parse `Said.lines` in many places, and the JSON report hands on
what a node wrote to the byte, so these and `CheckResult` hold it as it came. There the
boundary is the report: the terminal, JUnit and the page show a result by `report.clean`,
and progress, errors and the event log make printable whatever they are given.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

INDENT = "    "

# ECMA-48: CSI ... final; OSC ... BEL or ST (systemd 257 marks its units so); others of two or
# three bytes. A lone ESC at the end goes with the other control characters.
_ESCAPE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(\x07|\x1b\\)?|[ -/]+[0-~]|.)")
# Characters that some program takes for the end of a line. A bare \r is one of them: a terminal
# would overwrite the line from its beginning.
_LINE_END = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# Control and format characters (bidi, zero width), halves of surrogates, and unassigned ones;
# for private use: what they look like is up to the reader's fonts.
_UNWANTED = frozenset({"Cc", "Cf", "Cs", "Cn", "Co"})
_KEPT = {ord("\n"): None, ord("\t"): None}
# What CI systems take for orders in a log. GitHub: `::add-mask::x` behind nothing but blanks, so
# that an indentation protects from nothing, and `##[add-mask]x` anywhere in a line; Azure and
# TeamCity: `##vso[...]`, `##teamcity[...]`. Source: ActionCommand.cs of actions/runner.
_ORDER_OF_LINE = re.compile(r"^([ \t]*:)(?=:[A-Za-z][^\n]*::)", re.MULTILINE)
_ORDER = re.compile(r"#(?=#\w*\[)")


@dataclass(frozen=True, slots=True)
class Foreign:
    """Text that a node wrote: `raw` is for parsers, str() is fit to be shown.

    It is not a `str`, so mypy refuses it where one is wanted; whoever formats it anyway
    gets the printable form.
    """

    raw: str

    def __str__(self) -> str:
        return printable(self.raw)

    def __bool__(self) -> bool:
        return bool(self.raw.strip())


def one_line(text: str) -> str:
    """Return foreign text as it may be shown in a field of a line."""
    return " ".join(printable(text, indent="").split())


def number(value: object, most: float = 1e10) -> float:
    """Return a number that a node wrote, if it is one between -most and most; or else 0.0.

    By default, what is a time in seconds since 1970 stays one.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not -most < value < most:  # type: ignore[operator]
        return 0.0
    return float(value)  # type: ignore[arg-type]


def printable(text: str, *, indent: str = INDENT) -> str:
    """Return foreign text as it may be shown: on a terminal, in a page, in JUnit, in an error.

    Escape sequences, control characters but newline and tab, and characters that turn or
    hide text are left out; a blank breaks what a CI system would take for an order. Every line
    but the first is indented, so that none forges a line of ours. Pass indent="" only where the
    caller puts its own mark before each line.
    """
    if text.isprintable():  # by far the most frequent case, and 50 times faster
        return without_orders(text)
    if not text.translate(_KEPT).isprintable():
        text = _LINE_END.sub("\n", _ESCAPE.sub("", text))
        text = "".join(map(_printable_character, text))
    return without_orders(text).replace("\n", f"\n{indent}")


def without_orders(text: str) -> str:
    """Return a text in which no CI system that reads it as a log finds an order to it."""
    if "##" in text:
        text = _ORDER.sub("# ", text)
    if "::" in text:
        text = _ORDER_OF_LINE.sub(r"\1 ", text)
    return text


def _printable_character(character: str) -> str:
    """Return a character, a plain blank for one of the other blanks, or "" for an unwanted one."""
    if character.isprintable() or character in "\n\t":
        return character
    category = unicodedata.category(character)
    if category in _UNWANTED:
        return ""
    return " " if category == "Zs" else character
