"""A guard between templates and shells: it checks what a rendered localrc may hold.

localrc is sourced by bash, and its values travel on unquoted through sed and
grep, so a blank, a quote or a `$` that got in would act there, on the node.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from stacklab.errors import RenderError

_ASSIGNMENT = re.compile(r"([A-Z][A-Z0-9_]*|https?_proxy|no_proxy)=([A-Za-z0-9._/:,@%+-]+)")
_SERVICE = re.compile(r"(?:enable|disable)_service( [a-z][a-z0-9-]*)+")
_PLUGIN = re.compile(r"enable_plugin( [A-Za-z0-9][A-Za-z0-9._~/:,@%+-]*){3}")
_COMMENT = re.compile(r"#[ -~]*")
_SECRET = re.compile(r"[A-Za-z0-9]{8,32}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def check_secrets(secrets: Mapping[str, str]) -> None:
    """Raise RenderError for a secret that installers' scripts would mangle; hide its value."""
    for name, value in secrets.items():
        form = _UUID if name.endswith("_uuid") and len(value) == 36 else _SECRET
        if form.fullmatch(value) is None:
            raise RenderError(f"secret {name}: 8 to 32 characters of A-Z, a-z and 0-9 are needed")


def check_localrc(where: str, text: str, *, once: str = "") -> None:
    """Raise RenderError unless `text` is only plain assignments, service switches and plugins.

    `once` is a word that exactly one line may mention, comments included.
    """
    if not text.endswith("\n"):
        raise RenderError(f"{where}: the last line does not end in a newline")
    seen: dict[str, int] = {}
    for number, line in enumerate(text[:-1].split("\n"), start=1):
        match = _ASSIGNMENT.fullmatch(line)
        if match is None:
            if line and not any(form.fullmatch(line) for form in (_COMMENT, _SERVICE, _PLUGIN)):
                # Only the part before "=" is shown: what follows may be a password.
                raise RenderError(
                    f"{where}:{number}: not a plain assignment: {line.partition('=')[0]!r}"
                )
        elif match[1] in seen:
            raise RenderError(
                f"{where}:{number}: {match[1]} was set on line {seen[match[1]]} already"
            )
        else:
            seen[match[1]] = number
    mentions = sum(once in line for line in text.split("\n")) if once else 1
    if mentions != 1:
        raise RenderError(
            f"{where}: {mentions} lines mention {once}, there must be one (scripts grep for it)"
        )
