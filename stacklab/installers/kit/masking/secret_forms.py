"""Find known secrets in a text, also in other forms: base64, hex, quoted, or broken over lines."""

from __future__ import annotations

import base64
import functools
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote, quote_plus

from stacklab import words

# In a shorter one there is too little that is its own: the base64 of `admin` is in many words.
_SHORTEST_ENCODED = 8
# Keys come as lines of base64; nobody writes those in hex.
_LONGEST_IN_HEX = 40
# What a terminal, a mail program or `base64` puts into a long word: the end of a line, with a
# backslash before it or blanks behind it, or an escape sequence.
_BREAK = re.compile(r"\\?\r?\n[ \t]*+(?:\| )?|\r|\x1b\[[0-?]*+[ -/]*+[@-~]")
_MOST_PLACES = 10_000  # of broken secrets in one text
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
        if _BREAK.search(text) is None:
            return text
        found = sorted(itertools.islice(self._places(_without_breaks(text)), _MOST_PLACES))
        if len(found) == _MOST_PLACES:
            return mask  # made for this: nothing of it is worth to be told apart
        pieces: list[str] = []
        at = 0  # what is before it is in `pieces`
        merged = list(_merged(found))
        ends = _originals(text, (place for begin, end in merged for place in (begin, end - 1)))
        for first, last in zip(ends, ends, strict=True):
            pieces += [text[at:first], mask]
            at = last + 1
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


def _without_breaks(text: str) -> str:
    """Return the text without its breaks.

    Not by Pattern.sub, whose list of pieces costs half a GB for 16 MiB of lines of one letter.
    """
    rest = io.StringIO()
    at = 0
    for found in _BREAK.finditer(text):
        rest.write(text[at : found.start()])
        at = found.end()
    rest.write(text[at:])
    return rest.getvalue()


def _merged(places: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield sorted places, those that overlap as one."""
    begin, end = -1, -1
    for next_begin, next_end in places:
        if next_begin >= end:
            if end >= 0:
                yield begin, end
            begin = next_begin
        end = max(end, next_end)
    if end >= 0:
        yield begin, end


def _originals(text: str, places: Iterable[int]) -> Iterator[int]:
    """Yield where characters of the text without breaks stand in the text; `places` ascend."""
    breaks = _BREAK.finditer(text)
    following = next(breaks, None)
    passed = 0  # characters of the breaks so far
    for place in places:
        while following is not None and following.start() - passed <= place:
            passed += following.end() - following.start()
            following = next(breaks, None)
        yield place + passed
