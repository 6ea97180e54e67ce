"""Phrases that are the same everywhere: suggestions, masks, plurals."""

from __future__ import annotations

from collections.abc import Iterable

_CLOSE_ENOUGH = 0.6  # difflib's ratio; below it a suggestion would only puzzle


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word that was probably meant, or the empty string."""
    # Imported here: it compiles regular expressions, and every TAB imports this module.
    import difflib

    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=_CLOSE_ENOUGH)
    return matches[0] if matches else ""


def suggest(word: str, known: Iterable[str], *, label: str) -> str:
    """Return what would be right instead of an unknown word: the nearest one, and all there are."""
    known = list(known)  # read twice, and it may be an iterator
    listed = f"{label}: {', '.join(known) or 'none'}"
    guess = nearest(word, known)
    if guess:
        return f"did you mean {guess}? {listed}"
    return listed


def meant_or_known(word: str, known: Iterable[str]) -> str:
    """Return the word that was probably meant, or else all there are.

    For a list that would be too long beside a suggestion: the keys of a place, all labs.
    """
    known = list(known)
    guess = nearest(word, known)
    if guess:
        return f"did you mean {guess}?"
    return suggest(word, known, label="known")


def without(text: str, secrets: Iterable[str], mask: str) -> str:
    """Return a text with a mask in place of each of these secrets."""
    # Longer ones first, since one may contain another.
    not_empty = [secret for secret in secrets if secret]  # "" would be found everywhere
    for secret in sorted(not_empty, key=len, reverse=True):
        text = text.replace(secret, mask)
    return text


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: `1 lab`, `2 labs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
