"""Find known secrets in a text, also in other forms: base64, hex, quoted, or broken over lines."""

from __future__ import annotations

import base64
import functools
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from stacklab import words

# In a shorter one there is too little that is its own: the base64 of `admin` is in many words.
_SHORTEST_ENCODED = 8
# Keys come as lines of base64; nobody writes those in hex.
_LONGEST_IN_HEX = 40
# What a terminal, a mail program or `base64` puts into a long word: the end of a line, with a
# backslash before it or blanks behind it, or an escape sequence.
_BREAK = re.compile(r"\\?\r?\n[ \t]*+(?:\| )?|\r|\x1b\[[0-?]*+[ -/]*+[@-~]")
_ENCODED = re.compile(rf"[A-Za-z0-9+/=_%-]{{{_SHORTEST_ENCODED},}}")


class KnownSecrets:
    """Secrets of a lab, and what they look like in other forms."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._plain = frozenset(filter(None, secrets))
        self._encoded = frozenset(form for secret in self._plain for form in encoded(secret))
        # Longer ones first, since one may contain another.
        self._all = sorted((*self._plain, *self._encoded), key=len, reverse=True)
        self._broken = [form for form in self._all if len(form) >= _SHORTEST_ENCODED]

    def mask(self, text: str, mask: str) -> str:
        """Return a text with a mask in place of each secret, in whatever form."""
        text = words.without(text, self._plain, mask)
        if _ENCODED.search(text):  # most short texts have no word that is long enough
            text = words.without(text, self._encoded, mask)
        return self._mask_broken(text, mask)

    def _mask_broken(self, text: str, mask: str) -> str:
        """Mask what is found only once the breaks in it are taken out."""
        breaks = [match.span() for match in _BREAK.finditer(text)]
        if not breaks:
            return text
        whole, starts = _joined(text, breaks)
        found = sorted(self._places(whole))
        if not found:
            return text
        pieces: list[str] = []
        at = 0  # what is before it is in `pieces`
        for begin, end in found:
            first, last = _original(begin, starts, breaks), _original(end - 1, starts, breaks) + 1
            if first >= at:
                pieces += [text[at:first], mask]
            at = max(at, last)
        return "".join([*pieces, text[at:]])

    def _places(self, whole: str) -> Iterator[tuple[int, int]]:
        """Yield where secrets stand in a text without breaks."""
        for form in self._broken:
            begin = whole.find(form)
            while begin >= 0:
                yield begin, begin + len(form)
                begin = whole.find(form, begin + len(form))


@functools.lru_cache(maxsize=16)
def known(secrets: frozenset[str]) -> KnownSecrets:
    """Return these secrets with their forms, which are made once for all texts."""
    return KnownSecrets(secrets)


def encoded(secret: str) -> Iterator[str]:
    """Yield a secret's other forms; none for a short one."""
    if len(secret) < _SHORTEST_ENCODED:
        return
    data = secret.encode()
    for offset in range(3):
        yield from _base64_inside(data, offset)
    if len(secret) <= _LONGEST_IN_HEX:
        yield data.hex()
        yield data.hex().upper()
        yield data.hex(" ")
        yield data.hex(":")
    for form in (quote(secret, safe=""), quote_plus(secret), secret.replace("/", "\\/")):
        if form != secret:
            yield form


def _base64_inside(data: bytes, offset: int) -> Iterator[str]:
    """Yield what base64 makes of these bytes behind `offset` others, whatever is around them."""
    text = base64.b64encode(bytes(offset) + data)
    # A character stands for 6 bits: those that hold bits of neighbours too are cut off.
    begin = -(-offset * 8 // 6)
    end = (offset + len(data)) * 8 // 6
    inside = text[begin:end].decode()
    yield inside
    if "+" in inside or "/" in inside:
        yield inside.translate(str.maketrans("+/", "-_"))


def _joined(text: str, breaks: list[tuple[int, int]]) -> tuple[str, list[int]]:
    """Return a text without its breaks, and where each break was in that."""
    pieces: list[str] = []
    starts: list[int] = []
    at = length = 0
    for begin, end in breaks:
        pieces.append(text[at:begin])
        length += begin - at
        starts.append(length)
        at = end
    return "".join([*pieces, text[at:]]), starts


def _original(place: int, starts: list[int], breaks: list[tuple[int, int]]) -> int:
    """Return where a character of the joined text stands in the text with its breaks."""
    # Of breaks at the same place all are before the character.
    passed = bisect_left(starts, place + 1)
    if not passed:
        return place
    return breaks[passed - 1][1] + place - starts[passed - 1]
