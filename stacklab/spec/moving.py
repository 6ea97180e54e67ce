"""Move a lab's file to another name and other networks, as text: its comments and layout stay.

Values and comments are found by their places, and only they are edited. Where the result is not
what the file's author meant, a new look at it by the rules tells: see spec.load_text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple, TypeAlias

import yaml

from stacklab.spec import source
from stacklab.spec.form.ip_ranges import ADDRESS
from stacklab.spec.mistakes import Keys
from stacklab.spec.source import Document, Place

Moves: TypeAlias = Mapping[IPv4Network, IPv4Network]

# An address or a range as a word of its own: not a part of a version such as 1.10.0.0.1.
_ADDRESS = re.compile(rf"(?<![\w.])(?P<address>{ADDRESS})(?P<prefix>/[0-9]{{1,2}})?(?!\w|\.[0-9])")
_COMMENT = re.compile(r"#.*")


class _Piece(NamedTuple):
    """A value or a comment of the file, from `start` to before `end`, counted in characters."""

    start: int
    end: int
    path: Keys | None  # of a value; None for a comment


def move(text: str, *, old_name: str, new_name: str, moves: Moves) -> str:
    """Return the text of a lab's file under another name, with addresses in moved networks.

    An address keeps its position in its network; a range that is wider than its network stays.
    The text is YAML that `source.parse` reads without a problem.
    """
    pieces = sorted(_pieces(text))
    parts: list[str] = []
    done = 0
    for piece in pieces:
        parts.append(text[done : piece.start])
        parts.append(_edit(text[piece.start : piece.end], piece.path, old_name, new_name, moves))
        done = piece.end
    return "".join((*parts, text[done:]))


def _edit(raw: str, path: Keys | None, old_name: str, new_name: str, moves: Moves) -> str:
    if path == ("name",):
        return _as_yaml(new_name)
    if path is None:
        # `./invoke lab.up NAME`: only behind a task, since a name may be a common word, too.
        command = re.compile(rf"(\b[a-z]+\.[a-z-]+ +){re.escape(old_name)}(?![\w.-])")
        raw = command.sub(lambda match: match[1] + new_name, raw)
    return _ADDRESS.sub(lambda match: _moved(match, moves), raw)


def _as_yaml(name: str) -> str:
    """Return a name as every reader of YAML takes it for text: `null` and `1e3` need quotes."""
    is_text = name[0].isalpha() and yaml.safe_load(name) == name
    return name if is_text else f'"{name}"'


def _moved(match: re.Match[str], moves: Moves) -> str:
    """Return an address or a range where its network has moved to."""
    try:
        address = IPv4Address(match["address"])
    except ValueError:
        return match[0]
    span = _range_of(match)
    for old, new in moves.items():
        if span.subnet_of(old):
            offset = int(address) - int(old.network_address)
            return f"{new[offset]}{match['prefix'] or ''}"
    return match[0]


def _range_of(match: re.Match[str]) -> IPv4Network:
    """Return the range that is written, or else the address as a range of its own."""
    try:
        return IPv4Network(match[0])  # a /32 where no prefix length is written
    except ValueError:
        # Its host bits are set: it is an address, as in bash's /dev/tcp/10.0.0.5/22.
        return IPv4Network(match["address"])


def _pieces(text: str) -> Iterator[_Piece]:
    """Yield the values and the comments of the file."""
    paths = _paths_by_place(source.parse(text, ""))
    path: Keys | None = None
    end = 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        # Between two tokens there is nothing but blanks and comments.
        for comment in _COMMENT.finditer(text, end, token.start_mark.index):
            yield _Piece(comment.start(), comment.end(), None)
        end = max(end, token.end_mark.index)
        place = Place(token.start_mark.line + 1, token.start_mark.column + 1)
        path = paths.get(place, path)
        # A value begins at its anchor or tag, if it has one: `&net 10.0.0.0/24`.
        if isinstance(token, yaml.ScalarToken) and path is not None:
            yield _Piece(token.start_mark.index, token.end_mark.index, path)
            path = None


def _paths_by_place(document: Document) -> dict[Place, Keys]:
    """Return where in the file the texts are, keys aside, and what leads to each."""
    return {
        place: path for path, place in document.values.items() if document.text_at(path) is not None
    }
