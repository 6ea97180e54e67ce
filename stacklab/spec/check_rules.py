"""Rules for a lab's own checks, and the nodes that each of them is for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stacklab.model.stack import Role
from stacklab.spec.checks import CustomSpec
from stacklab.spec.rules import Context, members
from stacklab.spec.schema import LabSpec
from stacklab.spec.secret_rules import secret_in_command
from stacklab.spec.source import Finding, Keys
from stacklab.words import suggest

_KINDS = ("command", "port", "http")
_ALL_NODES = "all"
_URL_PORT = re.compile(r"https?://[^/?:]*:([0-9]+)")
# For each key that only some kinds of checks have: these kinds.
_KINDS_WITH = {
    "exit_code": ("command",),
    "text": ("command", "http"),
    "host": ("port",),
    "status": ("http",),
}


def check_custom(spec: LabSpec, context: Context) -> Iterator[Finding]:
    """Yield all that is wrong with a spec's own checks.

    Of a spec that is not whole nothing is said: the nodes that a check names may have been in
    the part that was left out.
    """
    if spec.checks is None or not context.is_whole:
        return
    seen: dict[str, int] = {}
    for index, check in enumerate(spec.checks.custom or ()):
        path: Keys = ("checks", "custom", index)
        if check.name in seen:
            wrong = f"'{check.name}' is also custom[{seen[check.name]}]"
            yield Finding((*path, "name"), wrong, "rename one of them")
        seen.setdefault(check.name, index)
        yield from _kind(path, check)
        yield from _nodes(path, check, spec)
        yield from _url_port(path, check)
        yield from _secret(path, check)


def _kind(path: Keys, check: CustomSpec) -> Iterator[Finding]:
    kinds = [kind for kind in _KINDS if getattr(check, kind) is not None]
    if not kinds:
        yield Finding(path, "tries nothing", "write one of command, port and http")
    for kind in kinds[1:]:
        wrong = f"it has {kinds[0]} already"
        yield Finding((*path, kind), wrong, "make two checks of it", at_key=True)
    if len(kinds) != 1:
        return
    for key, kinds_with_key in _KINDS_WITH.items():
        if getattr(check, key) is not None and kinds[0] not in kinds_with_key:
            right = f"remove it; it is for {' and '.join(kinds_with_key)}"
            yield Finding((*path, key), f"has no meaning for {kinds[0]}", right, at_key=True)


def _nodes(path: Keys, check: CustomSpec, spec: LabSpec) -> Iterator[Finding]:
    if check.nodes is not None and not check.nodes:
        yield Finding((*path, "nodes"), "no node", "name one, or remove it: all is the default")
    for index, word in enumerate(check.nodes or ()):
        if _nodes_meant(spec, word):
            continue
        # dict keeps the order: the spec's own names, then those with a number, then `all`.
        known = dict.fromkeys([*spec.nodes, *(member.name for member in members(spec)), _ALL_NODES])
        wrong = f"no node has the role {word}" if word in tuple(Role) else f"no node '{word}'"
        yield Finding((*path, "nodes", index), wrong, suggest(word, known, label="known"))


def _url_port(path: Keys, check: CustomSpec) -> Iterator[Finding]:
    match = _URL_PORT.match(check.http or "")
    if match and not 1 <= int(match[1]) <= 65535:
        yield Finding((*path, "http"), f"{match[1]} is not a port", "1 to 65535")


def _secret(path: Keys, check: CustomSpec) -> Iterator[Finding]:
    variable = secret_in_command(check.command or "")
    if variable:
        yield Finding(
            (*path, "command"),
            f"the spec holds the value of {variable}",
            "let the command read it from a file on the node",
        )


def _nodes_meant(spec: LabSpec, word: str) -> set[str]:
    """Return the names of the nodes that a word of `nodes` stands for.

    A node's name comes before the name of an entry with a count, and both before a role.
    """
    everyone = members(spec)
    if word == _ALL_NODES:
        return {member.name for member in everyone}
    by_name = {member.name for member in everyone if member.name == word}
    by_entry = {member.name for member in everyone if member.key == word}
    by_role = {member.name for member in everyone if (member.spec.role or Role.NODE) == word}
    return by_name or by_entry or by_role


def nodes_of(spec: LabSpec, check: CustomSpec) -> tuple[str, ...]:
    """Return the names of the nodes that a check is for, in the lab's order."""
    meant: set[str] = set()
    for word in check.nodes or (_ALL_NODES,):
        meant |= _nodes_meant(spec, word)
    return tuple(member.name for member in members(spec) if member.name in meant)
