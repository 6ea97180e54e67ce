"""A guard between templates and shells: it checks what a rendered localrc may hold.

localrc is sourced by bash, and its values travel on unquoted through sed and
grep, so a blank, a quote or a `$` that got in would act there, on the node.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from stacklab.errors import RenderError
from stacklab.model import certificate

# The characters that bash, sed and grep all leave alone.
_ASSIGNMENT = re.compile(r"([A-Z][A-Z0-9_]*|https?_proxy|no_proxy)=([A-Za-z0-9._/:,@%+-]+)")
_SERVICE = re.compile(r"(?:enable|disable)_service( [a-z][a-z0-9-]*)+")
_PLUGIN = re.compile(r"enable_plugin( [A-Za-z0-9][A-Za-z0-9._~/:,@%+-]*){3}")
_COMMENT = re.compile(r"#[ -~]*")
_OTHER_FORMS = (_COMMENT, _SERVICE, _PLUGIN)
_SECRET = re.compile(r"[A-Za-z0-9]{8,32}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UUID_LENGTH = 36


def check_secrets(secrets: Mapping[str, str]) -> None:
    """Raise RenderError for a secret that installers' scripts would mangle; hide its value."""
    for name, value in secrets.items():
        # It goes through no shell.
        if name == certificate.SECRET and certificate.is_whole(value):
            continue
        # Where a UUID is asked for, a plain secret will do as well.
        is_uuid = name.endswith("_uuid") and len(value) == _UUID_LENGTH
        form = _UUID if is_uuid else _SECRET
        if form.fullmatch(value) is None:
            raise RenderError(f"secret {name}: 8 to 32 characters of A-Z, a-z and 0-9 are needed")


def check_localrc(where: str, text: str, *, once: str = "") -> None:
    """Raise RenderError unless `text` is only plain assignments, service switches and plugins.

    `once` is a word that exactly one line may mention, comments included.
    """
    if not text.endswith("\n"):
        raise RenderError(f"{where}: the last line does not end in a newline")
    lines = text.removesuffix("\n").split("\n")
    first_lines: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        assignment = _ASSIGNMENT.fullmatch(line)
        if assignment is None:
            _check_other_line(f"{where}:{number}", line)
            continue
        name = assignment[1]
        first_line = first_lines.setdefault(name, number)
        if first_line != number:
            raise RenderError(f"{where}:{number}: {name} was set on line {first_line} already")
    if once:
        _check_mentions(where, lines, once)


def _check_other_line(place: str, line: str) -> None:
    """Raise RenderError for a line that is neither empty nor of a known form."""
    if not line:
        return
    for form in _OTHER_FORMS:
        if form.fullmatch(line):
            return
    # Only the part before "=" is shown: what follows may be a password.
    raise RenderError(f"{place}: not a plain assignment: {line.partition('=')[0]!r}")


def _check_mentions(where: str, lines: Sequence[str], word: str) -> None:
    mentions = sum(word in line for line in lines)
    if mentions != 1:
        raise RenderError(
            f"{where}: {mentions} lines mention {word}, there must be one (scripts grep for it)"
        )
