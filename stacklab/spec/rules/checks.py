"""Rules for a lab's own checks, and the nodes that each of them is for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stacklab.model.stack import Role
from stacklab.spec.defaults import members
from stacklab.spec.form.checks import CustomSpec
from stacklab.spec.form.schema import LabSpec
from stacklab.spec.mistakes import Keys, SpecMistake
from stacklab.spec.rules.context import RuleContext
from stacklab.spec.rules.secrets import secret_in_command
from stacklab.words import suggest

_KINDS = ("command", "port", "http")
_ALL_NODES = "all"
# The port of a URL, behind its host.
_URL_PORT = re.compile(r"https?://[^/?:]*:([0-9]+)")
# For each key that only some kinds of checks have: these kinds.
_KINDS_WITH = {
    "exit_code": ("command",),
    "text": ("command", "http"),
    "host": ("port",),
    "status": ("http",),
}


def check_custom(spec: LabSpec, context: RuleContext) -> Iterator[SpecMistake]:
    """Yield all that is wrong with a spec's own checks.

    Of a spec that is not whole nothing is said: the nodes that a check names may have been in
    the part that was left out.
    """
    if spec.checks is None or not context.is_whole:
        return
    first_index: dict[str, int] = {}
    for index, check in enumerate(spec.checks.custom or ()):
        path: Keys = ("checks", "custom", index)
        if check.name in first_index:
            yield SpecMistake(
                path=(*path, "name"),
                wrong=f"'{check.name}' is also custom[{first_index[check.name]}]",
                right="rename one of them",
            )
        first_index.setdefault(check.name, index)
        yield from _check_kind(path, check)
        yield from _check_nodes(path, check, spec)
        yield from _check_url_port(path, check)
        yield from _check_secret(path, check)


def _check_kind(path: Keys, check: CustomSpec) -> Iterator[SpecMistake]:
    kinds = [kind for kind in _KINDS if getattr(check, kind) is not None]
    if not kinds:
        yield SpecMistake(
            path=path, wrong="tries nothing", right="write one of command, port and http"
        )
        return
    first_kind, *more_kinds = kinds
    for kind in more_kinds:
        yield SpecMistake(
            path=(*path, kind),
            wrong=f"it has {first_kind} already",
            right="make two checks of it",
            at_key=True,
        )
    # Which of the other keys are right is not known while there are two kinds.
    if not more_kinds:
        yield from _check_keys_of_kind(path, check, first_kind)


def _check_keys_of_kind(path: Keys, check: CustomSpec, kind: str) -> Iterator[SpecMistake]:
    for key, kinds_with_key in _KINDS_WITH.items():
        if getattr(check, key) is not None and kind not in kinds_with_key:
            yield SpecMistake(
                path=(*path, key),
                wrong=f"has no meaning for {kind}",
                right=f"remove it; it is for {' and '.join(kinds_with_key)}",
                at_key=True,
            )


def _check_nodes(path: Keys, check: CustomSpec, spec: LabSpec) -> Iterator[SpecMistake]:
    if check.nodes == ():
        yield SpecMistake(
            path=(*path, "nodes"),
            wrong="no node",
            right="name one, or remove it: all is the default",
        )
    for index, word in enumerate(check.nodes or ()):
        if _nodes_meant(spec, word):
            continue
        # dict keeps the order: the spec's own names, then those with a number, then `all`.
        names = [member.name for member in members(spec)]
        known = dict.fromkeys([*spec.nodes, *names, _ALL_NODES])
        is_role = word in tuple(Role)
        yield SpecMistake(
            path=(*path, "nodes", index),
            wrong=f"no node has the role {word}" if is_role else f"no node '{word}'",
            right=suggest(word, known, label="known"),
        )


def _check_url_port(path: Keys, check: CustomSpec) -> Iterator[SpecMistake]:
    # The form of a URL lets any five digits through: a pattern that counts would be unreadable.
    match = _URL_PORT.match(check.http or "")
    if match and not 1 <= int(match[1]) <= 65535:
        yield SpecMistake(
            path=(*path, "http"),
            wrong=f"{match[1]} is not a port",
            right="1 to 65535",
        )


def _check_secret(path: Keys, check: CustomSpec) -> Iterator[SpecMistake]:
    variable = secret_in_command(check.command or "")
    if variable:
        yield SpecMistake(
            path=(*path, "command"),
            wrong=f"the spec holds the value of {variable}",
            right="let the command read it from a file on the node",
        )


def _nodes_meant(spec: LabSpec, word: str) -> set[str]:
    """Return the names of the nodes that a word of `nodes` stands for.

    A node's name comes before the name of an entry with a count, and both before a role.
    """
    by_name: set[str] = set()
    by_entry: set[str] = set()
    by_role: set[str] = set()
    for member in members(spec):
        role = member.spec.role or Role.NODE
        if word in (member.name, _ALL_NODES):
            by_name.add(member.name)
        if member.key == word:
            by_entry.add(member.name)
        if role == word:
            by_role.add(member.name)
    return by_name or by_entry or by_role


def nodes_of(spec: LabSpec, check: CustomSpec) -> tuple[str, ...]:
    """Return the names of the nodes that a check is for, in the lab's order."""
    meant: set[str] = set()
    for word in check.nodes or (_ALL_NODES,):
        meant |= _nodes_meant(spec, word)
    return tuple(member.name for member in members(spec) if member.name in meant)
