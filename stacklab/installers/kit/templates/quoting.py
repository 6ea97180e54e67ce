r"""Quoting of values, so that an installer's scripts read them back unchanged.

An option of a local.conf's post-config is taken to its ini file by awk, by a `read`
that removes backslashes, by eval within double quotes, in some releases by an
unquoted echo, and by sed. What each release's scripts do was seen by running them;
tests/contract/meta_config.py says it in Python, and the table of releases names it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection
from enum import StrEnum

from stacklab.errors import RenderError
from stacklab.model.stack import ConfigOption


class Trap(StrEnum):
    """A change that scripts of some DevStack do to a value: a word of the trait `post_config`."""

    # An unquoted echo: blanks melt into one, file names take the place of a pattern.
    WORDS = "words"
    BACKSLASH = "backslash"  # a backslash acts in sed; & is taken care of
    SED = "sed"  # both act in sed
    BAR = "bar"  # sed's s has bars around the value
    EQUALS = "equals"  # what follows the value's first = is lost


_ACTING_IN_SED = {Trap.BACKSLASH: "\\", Trap.SED: "\\&", Trap.BAR: "|"}

TRAIT = "post_config"
TODAY = (Trap.WORDS,)

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")
_ECHO_OPTION = re.compile(r"-[neE]+")
_PATTERN = re.compile(r"[*?\[]")  # any of the characters that make a word a pattern
_PLAIN = re.compile(r"[A-Za-z0-9._-]*")  # what the names of DevStack's own files are made of
_BRACKET = re.compile(r"\[[!^]?\]?[^]]*\]")  # [abc], [!abc], and []abc], which holds a ]


def localrc_value(value: object) -> str:
    """Quote a value for bash, so that no script takes the line for a section's header.

    Raises RenderError for what one line can't hold.
    """
    text = str(value)
    _check_characters(text, "of localrc")
    # Havana's scripts end localrc at any line that holds two closing brackets in a row.
    return re.sub(r"\](?=\])", "]''", shlex.quote(text))


def post_config_value(value: object, traps: Collection[str] = TODAY) -> str:
    """Return what to write behind `key = ` so that the option becomes `value`.

    `traps` are those of the release. Raises RenderError for what no quoting brings
    through them; the value is not shown.
    """
    text = str(value)
    _check_characters(text, "of post_config")
    _check_blanks(text, traps)
    text = _escape_for_sed(text, traps)
    if Trap.WORDS in traps:
        _check_words(text)
    # For eval, which reads it within double quotes ...
    text = re.sub(r'([\\$`"])', r"\\\1", text)
    if Trap.EQUALS in traps:
        text = text.replace("=", '"' + r"$'\075'" + '"')
    # ... where "" between two brackets keeps Havana from taking the line for a header ...
    text = re.sub(r"\](?=\])", ']""', text)
    # ... and for read, which removes a backslash wherever it finds one.
    return text.replace("\\", "\\\\")


def option_line(option: ConfigOption, traps: Collection[str] = TODAY) -> str:
    """Return an option's whole line in a post-config section.

    A RenderError says which option it is.
    """
    try:
        return f"{option.key} = {post_config_value(option.value, traps)}".rstrip()
    except RenderError as error:
        keys = ("stack.post_config", option.role, option.file, option.section, option.key)
        place = ".".join(keys)
        raise RenderError(f"{place}: {error.message}", hint=error.hint) from error


def _check_characters(text: str, what: str) -> None:
    if "\n" in text or "\r" in text:
        raise RenderError(f"a value {what} is one line, this has more", hint="write it on one line")
    control = _CONTROL.search(text)
    if control is not None:
        raise RenderError(
            f"a value {what} can't hold the character U+{ord(control[0]):04X}",
            hint="take it out",
        )


def _check_blanks(text: str, traps: Collection[str]) -> None:
    if text != text.strip(" \t"):
        raise RenderError(
            "an ini file does not keep blanks around a value",
            hint="take the first and last ones away",
        )
    if Trap.WORDS in traps and ("\t" in text or "  " in text):
        raise RenderError(
            "DevStack of this release makes one blank of tabs and of several blanks",
            hint="write one blank",
        )


def _escape_for_sed(text: str, traps: Collection[str]) -> str:
    """Put a backslash before what sed would act on, in its `a` as in its `s`."""
    acting = ""
    for trap, characters in _ACTING_IN_SED.items():
        if trap in traps:
            acting += characters
    escaped = [f"\\{char}" if char in acting else char for char in text]
    return "".join(escaped)


def _check_words(text: str) -> None:
    """Refuse what `echo $value` would take for its own option, or for the names of files."""
    words = text.split(" ")
    if _ECHO_OPTION.fullmatch(words[0]):
        raise RenderError(
            f"DevStack's echo takes {words[0]} at the beginning of a value for an option of its own"
        )
    for word in words:
        if _may_name_files(word):
            raise RenderError(
                "DevStack's bash would put the names of files in place of a word with *, ? or [",
                hint="write out what the pattern stands for",
            )


def _may_name_files(word: str) -> bool:
    """Return True if a word is a pattern of files in DevStack's directory.

    No file there has a name of one character, or one with other characters than _PLAIN's.
    """
    if not _PATTERN.search(word):
        return False
    if word.startswith("/"):  # anywhere on the node
        return True
    # Only the name directly below DevStack's directory is looked at.
    pattern = word.partition("/")[0]
    literal = re.sub(r"\\(.)|[*?]", r"\1", _BRACKET.sub("", pattern))
    if not _PLAIN.fullmatch(literal):
        return False
    if "*" in pattern:
        return True
    # Without a *, each ? and each bracket stands for exactly one character.
    like_a_name = re.sub(r"\\(.)", r"\1", _BRACKET.sub("?", pattern))
    return len(like_a_name) != 1
