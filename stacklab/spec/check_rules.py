"""What a lab's own checks must fulfil, and which nodes they are for."""

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
_ALL = "all"
_PORT = re.compile(r"https?://[^/?:]*:([0-9]+)")
# Which kinds a key means something to.
_OF = {
    "exit_code": ("command",),
    "text": ("command", "http"),
    "host": ("port",),
    "status": ("http",),
}


def check_custom(spec: LabSpec, context: Context) -> Iterator[Finding]:
    """All that is wrong with a spec's own checks; of a spec that lost something nothing is said."""
    if spec.checks is None or not context.is_whole:
        return
    seen: dict[str, int] = {}
    for index, check in enumerate(spec.checks.custom or ()):
        path: Keys = ("checks", "custom", index)
        if check.name in seen:
            yield Finding(
                (*path, "name"),
                f"'{check.name}' is also custom[{seen[check.name]}]",
                "rename one of them",
            )
        seen.setdefault(check.name, index)
        yield from _kind(path, check)
        yield from _nodes(path, check, spec)
        if (
            check.http is not None
            and (port := _PORT.match(check.http))
            and not 1 <= int(port[1]) <= 65535
        ):
            yield Finding((*path, "http"), f"{port[1]} is no port", "1 to 65535")
        if check.command is not None and (variable := secret_in_command(check.command)):
            wrong = f"{variable} has its value in the spec"
            yield Finding(
                (*path, "command"), wrong, "let the command read it from a file on the node"
            )


def _kind(path: Keys, check: CustomSpec) -> Iterator[Finding]:
    kinds = [kind for kind in _KINDS if getattr(check, kind) is not None]
    if not kinds:
        yield Finding(path, "tries nothing", "write one of command, port and http")
    for kind in kinds[1:]:
        yield Finding(
            (*path, kind), f"it has {kinds[0]} already", "make two checks of it", at_key=True
        )
    if len(kinds) != 1:
        return
    for key, having in _OF.items():
        if getattr(check, key) is not None and kinds[0] not in having:
            right = f"remove it; it is for {' and '.join(having)}"
            yield Finding((*path, key), f"means nothing to {kinds[0]}", right, at_key=True)


def _nodes(path: Keys, check: CustomSpec, spec: LabSpec) -> Iterator[Finding]:
    if check.nodes is not None and not check.nodes:
        yield Finding((*path, "nodes"), "no node", "name one, or remove it: all is the default")
    for index, word in enumerate(check.nodes or ()):
        if not _meant(spec, word):
            known = [
                *spec.nodes,
                *(member.name for member in members(spec) if member.name not in spec.nodes),
            ]
            wrong = f"no node has the role {word}" if word in tuple(Role) else f"no node '{word}'"
            yield Finding(
                (*path, "nodes", index), wrong, suggest(word, [*known, _ALL], label="known")
            )


def _meant(spec: LabSpec, word: str) -> set[str]:
    """The nodes that a word stands for: all, one by its name, all of a count, or a role."""
    everyone = members(spec)
    if word == _ALL:
        return {member.name for member in everyone}
    for found in (
        {member.name for member in everyone if member.name == word},
        {member.name for member in everyone if member.key == word},
        {member.name for member in everyone if (member.spec.role or Role.NODE) == word},
    ):
        if found:
            return found
    return set()


def nodes_of(spec: LabSpec, check: CustomSpec) -> tuple[str, ...]:
    """The names of the nodes that a check is for, in the lab's order."""
    meant = set().union(*(_meant(spec, word) for word in check.nodes or (_ALL,)))
    return tuple(member.name for member in members(spec) if member.name in meant)
