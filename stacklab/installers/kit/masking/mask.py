"""Mask secrets in texts for people: known ones, and what looks like an older one."""

from __future__ import annotations

import re
from collections.abc import Iterable

from stacklab import words
from stacklab.installers.kit.masking import secret_forms

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
# The place of a key's file, not the key.
_KEY_FILE = re.compile(r"""["']?(?:~|/(?:etc|home|opt|root|run|tmp|usr|var))/""")
# The head of a YAML block: | or >, whose text is on the next lines.
_BLOCK = re.compile(r"[|>][-+0-9]*+[ \t]*+\n")
PEM_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S
)
# A password may have a slash in it, and a port is none.
_USERINFO = re.compile(r"""(://[^/\s:@]*+:)(?!\d{1,5}/)[^\s"'<>]{1,300}@""")
# user:password@host without `://`; of an image, what is before @sha256: is a tag.
_USERINFO_ALONE = re.compile(
    r"(?<![\w./:@-])([A-Za-z_][\w.-]{0,64}+:)[^\s:@/,\"']{6,128}+@(?=[\w.-])(?!sha\d)"
)
# What a program's option of such a name is given, and what curl's -u is.
_OPTION = re.compile(
    r"((?<![\w-])--?[\w-]{0,40}?(?:password|passwd|token|secret)"
    r"(?![\w-]*(?:file|path))[\w-]{0,40}+[ \t]++)"
    r"""(?:"[^"\n]*+"|'[^'\n]*+'|(?![-$|>&;])[^\s]++)""",
    re.I,
)
_SSHPASS = re.compile(r"(\bsshpass[ \t]++-p[ \t]*+)\S++")
_USER_OPTION = re.compile(r"((?<![\w-])(?:-u|--user)[ \t]++[^\s:]{1,64}:)(?=\S*[A-Za-z])\S++")
# HTTP's two ways to send one, whatever is before them.
_BEARER = re.compile(r"(\bBearer[ \t]++)(?=\S*\d)[A-Za-z0-9._~+/=-]{12,}+", re.I)
_BASIC = re.compile(
    r"(\bAuthorization[\"']?[ \t]*+[:=][ \t]*+[\"']?Basic[ \t]++)[A-Za-z0-9+/=_-]++", re.I
)
# Of crypt(3): what anybody can try passwords on.
_HASH = re.compile(r"\$(?:1|2[abxy]|5|6|7|y|gy)\$[./A-Za-z0-9$=,]{20,200}+")
_BEHIND = (_OPTION, _SSHPASS, _USER_OPTION, _BEARER, _BASIC)
_KEY_OF_YAML = re.compile(r"[ \t]*(?:- )?[\w-]+:(?=[ \t]|$)")


def without(text: str, secrets: Iterable[str]) -> str:
    """Mask these secrets in a text."""
    return words.without(text, secrets, MASK)


def in_any_form(text: str, secrets: Iterable[str]) -> str:
    """Mask these secrets in a text, also in base64, hex, quoted for a URL, or broken over lines."""
    return secret_forms.known(frozenset(secrets)).mask(text, MASK)


def masked(text: str, secrets: Iterable[str], *, is_all_secret: bool = False) -> str:
    """Mask these secrets in a text, and whatever a name, a URL or a PEM header calls a secret.

    `is_all_secret` is for a file such as kolla's passwords.yml: each of its values is masked,
    whatever its name.
    """
    # Keys first: as a value of a name, only the line of their header would be masked.
    text = PEM_KEY.sub(MASK, in_any_form(text, secrets))
    if is_all_secret:
        lines = [_mask_value_of_line(line) for line in text.splitlines(keepends=True)]
        return "".join(lines)
    for pattern in _BEHIND:
        text = pattern.sub(rf"\1{MASK}", text)
    text = _mask_named_secrets(text)
    text = _USERINFO.sub(rf"\1{MASK}@", text)
    text = _USERINFO_ALONE.sub(rf"\1{MASK}@", text)
    return _HASH.sub(MASK, text)


def _mask_named_secrets(text: str) -> str:
    """Mask the value of each assignment whose name sounds like a secret's."""
    pieces = []
    at = 0  # what is before it is in `pieces`
    for assignment in _ASSIGNMENT.finditer(text):
        is_in_masked_value = assignment.start() < at
        if is_in_masked_value or not _NAMES.search(assignment["name"]):
            continue
        end = _find_end_of_secret(text, assignment)
        if end > assignment.end():
            pieces += [text[at : assignment.end()], MASK]
            at = end
    pieces.append(text[at:])
    return "".join(pieces)


def _find_end_of_secret(text: str, assignment: re.Match[str]) -> int:
    """Return where an assignment's value ends; where it begins, if it is not a secret."""
    begin = assignment.end()
    if _ELSEWHERE.match(text, begin):
        return begin
    is_key = assignment["name"].lower().endswith("_key")
    if is_key and _KEY_FILE.match(text, begin):
        return begin
    block = _BLOCK.match(text, begin)
    if block is not None:
        return _find_end_of_block(text, assignment, block)
    value = _VALUE.match(text, begin)
    return value.end() if value else begin


def _find_end_of_block(text: str, assignment: re.Match[str], block: re.Match[str]) -> int:
    """Return where a YAML block ends: before the first line that is not deeper than its key."""
    start_of_line = text.rfind("\n", 0, assignment.start()) + 1
    before_name = text[start_of_line : assignment.start()]
    indentation = len(before_name) - len(before_name.lstrip(" "))
    deeper_lines = re.compile(
        rf"(?: {{{indentation + 1},}}\S[^\n]*+(?:\n|\Z)|[ \t]*\n)*+",
    )
    body = deeper_lines.match(text, block.end())
    end = body.end() if body else block.end()
    if text.endswith("\n", assignment.end(), end):
        end -= 1  # the line's end stays, so that the next line stays one
    return end


def _mask_value_of_line(line: str) -> str:
    """Mask a line of a file of passwords: comments stay, of others only the key is shown."""
    body = line.rstrip()
    if not body or body.startswith("#"):
        return line
    line_end = line[len(body) :]
    key = _KEY_OF_YAML.match(body)
    if key is None:  # a line of a block, or something that is not YAML
        return MASK + line_end
    if body == key[0]:  # the value is below
        return line
    return f"{key[0]} {MASK}{line_end}"
