"""Mask secrets in texts for people: known ones, and what looks like an older one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from stacklab import words

MASK = "********"

_NAMES = re.compile(r"password|passwd|token|secret|_pw|_(?:key|salt|cookie)$", re.I)
# Possessive, here and below: what is looked through may be one long line.
_ASSIGNMENT = re.compile(r"""(?<![\w-])(?P<name>[\w-]++)["']?[ \t]*+[=:][ \t]*+""")
# A whole quoted value where it is one; whatever else begins there, to the end of its line: it may
# hold blanks.
_VALUE = re.compile(
    r"""(?:"(?:[^"\\\n]|\\.)*+"|'(?:[^'\n]|'')*+')(?=[\s,;)}\]]|\Z)|[^ \t\n][^\n]*+"""
)
# {...} and a plain $NAME are not secrets but say where one is.
_ELSEWHERE = re.compile(r"""\{|["']?\$(?:\w++|\{\w++\})["']?(?:[\s,;]|\Z)""")
_KEY_FILE = re.compile(
    r"""["']?(?:~|/(?:etc|home|opt|root|run|tmp|usr|var))/"""
)  # where a key is, not the key
_BLOCK = re.compile(r"[|>][-+0-9]*+[ \t]*+\n")
_PEM = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S
)
_USERINFO = re.compile(r"(://[^/\s:@]*+:)[^/\s]+@")
_KEY_OF_YAML = re.compile(r"[ \t]*(?:- )?[\w-]+:(?=[ \t]|$)")


def without(text: str, secrets: Iterable[str]) -> str:
    """Mask these secrets in a text."""
    return words.without(text, secrets, MASK)


def masked(text: str, secrets: Iterable[str], *, is_all_secret: bool = False) -> str:
    """Mask these secrets in a text, and whatever a name, a URL or a PEM header calls a secret.

    `is_all_secret` is for a file such as kolla's passwords.yml: each of its values is masked,
    whatever its name.
    """
    text = _PEM.sub(MASK, without(text, secrets))
    if is_all_secret:
        return "".join(map(_only_its_key, text.splitlines(keepends=True)))
    return _USERINFO.sub(rf"\1{MASK}@", "".join(_without_named(text)))


def _without_named(text: str) -> Iterator[str]:
    at = 0
    for assignment in _ASSIGNMENT.finditer(text):
        if assignment.start() < at or not _NAMES.search(assignment["name"]):
            continue
        end = _end_of_value(text, assignment)
        if end > assignment.end():
            yield text[at : assignment.end()] + MASK
            at = end
    yield text[at:]


def _end_of_value(text: str, assignment: re.Match[str]) -> int:
    """Return where an assignment's value ends; where it begins, if it is not a secret."""
    begin = assignment.end()
    if _ELSEWHERE.match(text, begin) or (
        assignment["name"].lower().endswith("_key") and _KEY_FILE.match(text, begin)
    ):
        return begin
    if block := _BLOCK.match(text, begin):
        line = text[text.rfind("\n", 0, assignment.start()) + 1 : assignment.start()]
        deeper = len(line) - len(line.lstrip(" ")) + 1
        body = re.compile(rf"(?: {{{deeper},}}\S[^\n]*+(?:\n|\Z)|[ \t]*\n)*+").match(
            text, block.end()
        )
        end = body.end() if body else block.end()
        return end - text.endswith("\n", begin, end)  # the next line stays one
    value = _VALUE.match(text, begin)
    return value.end() if value else begin


def _only_its_key(line: str) -> str:
    """Mask a line of a file of passwords: comments stay, of others only the key is shown."""
    body = line.rstrip()
    if not body or body.startswith("#"):
        return line
    key = _KEY_OF_YAML.match(body)
    if key is None:
        return MASK + line[len(body) :]
    return line if body == key[0] else f"{key[0]} {MASK}{line[len(body) :]}"
