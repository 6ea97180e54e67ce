"""Secrets that stand in a spec's text: they belong into the environment or a file, which the spec names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stacklab.spec.source import Finding, Keys
from stacklab.spec.stack import StackSpec

_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+")
_LAST = frozenset(
    {
        "pass",
        "passwd",
        "password",
        "passphrase",
        "pw",
        "secret",
        "token",
        "hash",
        "key",
        "credential",
    }
)
_ASSIGNMENT = re.compile(r"""(?:^|[\s;&|(){}"'])([A-Za-z_]\w*)\+?=("[^"]*"|'[^']*'|[^\s;&|]*)""")
_REFERENCE = re.compile(r"""(["']?)\$(\w+|\{\w+\})\1""")
_USERINFO = re.compile(r"\w+://[^/\s@]*@")
_RIGHT = "name its source under stack.secrets, or leave it out: one is made for the lab"


def secrets_in(stack: StackSpec) -> Iterator[Finding]:
    """Every line, option and URL of a stack that holds a secret's value, which is not shown."""
    for role, lines in (stack.localrc or {}).items():
        for index, line in enumerate(lines):
            yield from _in_line(("stack", "localrc", role, index), line)
    for role, files in (stack.post_config or {}).items():
        for file, sections in files.items():
            for section, options in sections.items():
                for key, value in options.items():
                    yield from _in_option(("stack", "post_config", role, file, section, key), value)
    for key, value in (stack.answers or {}).items():
        yield from _in_option(("stack", "answers", key), value)


def is_secret(name: str) -> bool:
    """Whether a variable of that name holds a secret: its last word says so, as in ADMIN_PASSWORD or adminPw."""
    words = [word.lower() for word in _WORDS.findall(name)]
    return bool(words) and (words[-1] in _LAST or words[-1].removesuffix("s") in _LAST)


def secret_in_command(text: str) -> str:
    """What of a shell's command has a secret's value in it: the variable's name, or "a URL"; "" for nothing."""
    for name, value in _ASSIGNMENT.findall(text):
        if (
            is_secret(name)
            and value.strip("\"'")
            and not _is_harmless(value)
            and "$" not in value
            and "`" not in value
        ):
            return str(name)
    return "a URL" if _USERINFO.search(text) else ""


def _in_line(path: Keys, line: str) -> Iterator[Finding]:
    """localrc is bash: a reference to another variable is no secret, whatever it is called."""
    for name, value in _ASSIGNMENT.findall(line):
        if (
            is_secret(name)
            and value.strip("\"'")
            and not _is_harmless(value)
            and not _REFERENCE.fullmatch(value)
        ):
            yield Finding(path, f"{name} has its value in the spec", _RIGHT)
            return
    if _USERINFO.search(line):
        yield Finding(
            path,
            "a URL with a name or password in it",
            "use one without: git and pip have their own stores",
        )


def _in_option(path: Keys, value: str) -> Iterator[Finding]:
    """Nothing expands there: what is written is what the service gets."""
    name = str(path[-1])
    if is_secret(name) and value and not _is_harmless(value):
        yield Finding(path, f"{name} has its value in the spec", _RIGHT)
    elif _USERINFO.search(value):
        yield Finding(
            path,
            f"{name} has a name or password in its URL",
            "leave it out: the installer writes its own",
        )


def _is_harmless(value: str) -> bool:
    """A path to a key, a word like `true`: what names a secret without being one."""
    plain = value.strip("\"'")
    return plain.startswith(("/", "~", "$HOME/")) or plain.lower() in (
        "true",
        "false",
        "yes",
        "no",
        "y",
        "n",
        "none",
    )
