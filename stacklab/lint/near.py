"""Tell which known word a misspelt one was meant to be, in a file of any length."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# For one file: whoever has more unknown words did not misspell them.
_MOST_COMPARISONS = 200_000
_MOST_WORDS = 1000
_LONGEST = 80  # characters; the longest key of any installer has 60


class Near:
    """The known word next to an unknown one, for the first few unknown ones of a file.

    Comparing is slow, so a file full of unknown words is not compared to its end.
    """

    def __init__(self, known: Iterable[str], *, cutoff: float = 0.6) -> None:
        self._cutoff = cutoff
        self._by_length: dict[int, list[str]] = {}
        self._nearest_of: dict[str, str] = {}
        words = tuple(known)
        for word in words:
            self._by_length.setdefault(len(word), []).append(word)
        self._most_words = min(_MOST_WORDS, _MOST_COMPARISONS / max(len(words), 1))

    def __call__(self, word: str) -> str:
        """Return the known word that was probably meant, or ""."""
        if word in self._nearest_of:
            return self._nearest_of[word]
        if len(word) > _LONGEST or len(self._nearest_of) >= self._most_words:
            return ""
        matches = difflib.get_close_matches(
            word, self._of_like_length(len(word)), n=1, cutoff=self._cutoff
        )
        nearest = matches[0] if matches else ""
        self._nearest_of[word] = nearest
        return nearest

    def _of_like_length(self, length: int) -> list[str]:
        """Return the known words that are not too long or too short to reach the cutoff."""
        return [
            word
            for other, words in self._by_length.items()
            # What difflib's real_quick_ratio asks of each word alone.
            if 2 * min(length, other) / max(length + other, 1) >= self._cutoff
            for word in words
        ]
