"""Mistakes in a spec: what is wrong, at which path; and how paths and values are shown."""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

Keys: TypeAlias = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[\w.-]{1,60}", re.ASCII)


class SpecMistake(NamedTuple):
    """A mistake at a path of the spec; `at_key` points at the key instead of the value."""

    path: Keys
    wrong: str
    right: str = ""
    at_key: bool = False


def show(path: Keys) -> str:
    """Return a path as people write it: `nodes.controller.nics[1]`."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
            continue
        if text:
            text += "."
        text += key if _PLAIN_KEY.fullmatch(key) else quote(key)
    return text


def quote(text: str) -> str:
    """Return the text in quotes: one line, at most 60 characters, no password or token of a URL."""
    # The user of a URL, then all that is behind its `?`, where tokens are.
    text = re.sub(r"//[^/\s]*@", "//***@", text)
    text = re.sub(r"(//\S*?)\?\S+", r"\1?***", text)
    if len(text) > 60:
        text = text[:57] + "..."
    return ascii(text)
