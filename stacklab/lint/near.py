"""Tell which known word a misspelt one was meant to be, in a file of any length."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# comparisons for one file; more mistakes of one kind than these are for are no misspellings
_MOST = 200_000
_LONGEST = 80  # characters; the longest key of any installer has 60


class Near:
    """Looks among known words, for the first few unknown ones of a file alone: nearness is slow to tell."""

    def __init__(self, known: Iterable[str], *, cutoff: float = 0.6) -> None:
        self._known = sorted(known)
        self._cutoff = cutoff
        self._found: dict[str, str] = {}

    def __call__(self, word: str) -> str:
        """Return the known word that was probably meant, or ""."""
        if word not in self._found:
            if len(word) > _LONGEST or len(self._found) * len(self._known) >= _MOST:
                return ""
            self._found[word] = next(
                iter(difflib.get_close_matches(word, self._known, n=1, cutoff=self._cutoff)), ""
            )
        return self._found[word]
