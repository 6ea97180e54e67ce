"""The guard of parsers: an answer is written by a node, which may be anybody's machine."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def guarded(judge: Callable[[], T], otherwise: Callable[[str], T]) -> T:
    """Return what a judge makes of an answer; if it raises, what `otherwise` makes of the reason.

    This is the only guard against answers that break a parser: the node loses its results, and
    the command goes on with all other nodes.
    """
    try:
        return judge()
    except Exception as error:
        # Where it was raised, in our own words: its message may quote what the node wrote.
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno}"
        return otherwise(f"its answer can't be read: {where}")
