"""Search for secrets in a spec: they belong into the environment or a file, which it names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stacklab.spec.form.stack import StackSpec
from stacklab.spec.mistakes import Keys, SpecMistake

# The words of a name in camelCase or snake_case.
_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+")
# The last word of a name tells that it holds a secret.
_SECRET_WORDS = frozenset(
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
# NAME=VALUE or NAME+=VALUE in bash; the value is quoted, or ends at a blank or an operator.
_ASSIGNMENT = re.compile(r"""(?:^|[\s;&|(){}"'])([A-Za-z_]\w*)\+?=("[^"]*"|'[^']*'|[^\s;&|]*)""")
# A value that is a variable and nothing else: $NAME or ${NAME}, in quotes or not.
_REFERENCE = re.compile(r"""(["']?)\$(\w+|\{\w+\})\1""")
# A URL with a user in it: https://user:password@host.
_USERINFO = re.compile(r"\w+://[^/\s@]*@")
# Values of a variable named like a secret that only switch something on or off.
_SWITCHES = ("true", "false", "yes", "no", "y", "n", "none")


def secrets_in(stack: StackSpec) -> Iterator[SpecMistake]:
    """Yield every line, option and URL of a stack that holds a secret; its value is not shown."""
    for role, lines in (stack.localrc or {}).items():
        for index, line in enumerate(lines):
            yield from _find_in_line(("stack", "localrc", role, index), line)
    for path, value in post_config_options(stack):
        yield from _find_in_option(("stack", "post_config", *path), value)
    for key, value in (stack.answers or {}).items():
        yield from _find_in_option(("stack", "answers", key), value)


def post_config_options(stack: StackSpec) -> Iterator[tuple[tuple[str, str, str, str], str]]:
    """Yield each option of `post_config` as (role, file, section, key) and its value."""
    for role, files in (stack.post_config or {}).items():
        for file, sections in files.items():
            for section, options in sections.items():
                for key, value in options.items():
                    yield (role, file, section, key), value


def misnamed_sources(stack: StackSpec) -> Iterator[SpecMistake]:
    """Yield each of the stack's secrets that does not have exactly one source."""
    for name, secret in (stack.secrets or {}).items():
        # Both or none of them: either way there is not one source.
        if (secret.env is None) == (secret.file is None):
            yield SpecMistake(
                path=("stack", "secrets", name),
                wrong="needs one source",
                right="env: NAME or file: PATH",
                at_key=True,
            )


def is_secret(name: str) -> bool:
    """Return True if a variable of that name holds a secret, like ADMIN_PASSWORD or adminPw."""
    words = _WORDS.findall(name)
    if not words:
        return False
    last = words[-1].lower()
    # Both, as removing the `s` of a plural would make `pas` of `pass`.
    return last in _SECRET_WORDS or last.removesuffix("s") in _SECRET_WORDS


def secret_in_command(text: str) -> str:
    """Return what holds a secret in a shell command: a variable's name, "a URL", or ""."""
    for name, value in _secret_assignments(text):
        # The value of another variable, or of a command, is not in the spec.
        if "$" not in value and "`" not in value:
            return name
    if _USERINFO.search(text):
        return "a URL"
    return ""


def _secret_assignments(text: str) -> Iterator[tuple[str, str]]:
    """Yield the name and value of each assignment in bash that looks like one of a secret."""
    for name, value in _ASSIGNMENT.findall(text):
        is_empty = not value.strip("\"'")
        if is_secret(name) and not is_empty and not _is_harmless(value):
            yield name, value


def _find_in_line(path: Keys, line: str) -> Iterator[SpecMistake]:
    """Yield the first secret in a line of localrc, which is bash: a reference is not a secret."""
    for name, value in _secret_assignments(line):
        if not _REFERENCE.fullmatch(value):
            # One finding for a line: two would be at the same place.
            yield _held_value(path, name)
            return
    if _USERINFO.search(line):
        yield SpecMistake(
            path=path,
            wrong="a URL with a name or password in it",
            right="use one without: git and pip have their own stores",
        )


def _find_in_option(path: Keys, value: str) -> Iterator[SpecMistake]:
    """Yield the secret in an option, where nothing expands: the service gets what is written."""
    name = str(path[-1])
    if is_secret(name) and value and not _is_harmless(value):
        yield _held_value(path, name)
    elif _USERINFO.search(value):
        yield SpecMistake(
            path=path,
            wrong=f"{name} has a name or password in its URL",
            right="leave it out: the installer writes its own",
        )


def _held_value(path: Keys, name: str) -> SpecMistake:
    return SpecMistake(
        path=path,
        wrong=f"the spec holds the value of {name}",
        right="name its source under stack.secrets, or leave it out: one is made for the lab",
    )


def _is_harmless(value: str) -> bool:
    """Return True for the path of a key and for a word like `true`, which are not secrets."""
    plain = value.strip("\"'")
    is_path = plain.startswith(("/", "~", "$HOME/"))
    return is_path or plain.lower() in _SWITCHES
