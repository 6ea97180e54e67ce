"""The shape of an answer file, before it is known whose it is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath

_ASSIGNMENT_OR_SERVICE = re.compile(
    r"^[ \t]*(?:(?:export[ \t]+)?[A-Z][A-Z0-9_]*[ \t]*\+?=|(?:en|dis)able_(?:service|plugin)\b)",
    re.MULTILINE,
)


def is_assignments(text: str, path: PurePath) -> bool:
    """Return True for lines of NAME=VALUE; otherwise the file is YAML, or should be."""
    if path.suffix in (".yml", ".yaml"):
        return False
    return _ASSIGNMENT_OR_SERVICE.search(text) is not None


def count_lines(lines: Iterable[str]) -> int:
    """Return how many lines are neither blank nor a comment."""
    bare = [line.strip() for line in lines]
    return sum(1 for line in bare if line and not line.startswith("#"))
