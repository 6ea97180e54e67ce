"""Rules for values that refer to variables: set below, by nobody, or nearly spelt so."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from stacklab.installers.devstack.lint.known import every_variable as known_variables
from stacklab.installers.devstack.lint.localrc import ENVIRONMENT, PRESET, Localrc
from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding, at_first_line
from stacklab.lint.near import Near
from stacklab.lint.readers import shell

RULES = (
    rule(
        "shell-used-before-set",
        "a variable that is used above the line that sets it",
        "bash(1), EXPANSION",
    ),
)
_BOOK = Book(RULES)

_NEARLY = 0.92  # VNCSERVER_LISTE and VNCSERVER_LISTEN are; HOST_IP and HOST_IPV6 are not
_DIGITS = re.compile(r"[0-9]+")
# DevStack's own default for these is $SERVICE_HOST, from havana on.
_SERVICE_HOSTS = frozenset({"KEYSTONE_AUTH_HOST", "KEYSTONE_SERVICE_HOST", "Q_HOST"})


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield variables that are used above their assignment: bash expands them to nothing.

    A variable is told once, at its first use: all of them are mended by one line.
    """
    first_lines: dict[str, int] = {}
    for assignment in rc.script.assignments:
        first_lines.setdefault(assignment.name, assignment.line)
    found: dict[str, list[Finding]] = {}
    nearest = Near(first_lines, cutoff=_NEARLY)
    # X=$X takes the environment's: whoever writes that has set X before stack.sh.
    outer = {one.name for one in rc.script.assignments if one.name in one.value.names}
    for assignment in rc.script.assignments:
        for name in _find_bare_names(assignment):
            if name in outer:
                continue
            finding = _check_use(rc, assignment, name, first_lines)
            finding = finding or _check_misspelt_use(rc, assignment, name, first_lines, nearest)
            if finding is not None:
                found.setdefault(name, []).append(finding)
    for findings in found.values():
        yield at_first_line(findings)


def _find_bare_names(assignment: shell.Assignment) -> Iterator[str]:
    """Yield the variables that a value refers to without a default such as ${NAME:-default}."""
    live = assignment.value.live
    for name in assignment.value.names:
        has_default = f"{{{name}:" in live or f"{{{name}-" in live
        # PATH=$PATH:... goes on from the environment's value.
        if not has_default and name != assignment.name:
            yield name


def _check_use(
    rc: Localrc, assignment: shell.Assignment, name: str, first_lines: Mapping[str, int]
) -> Finding | None:
    """Return the finding of a value that refers to a name before it is set; None if it is set."""
    if name in ENVIRONMENT or name in rc.broken:
        return None  # it has a value already, or its own line is told
    set_on = first_lines.get(name)
    if set_on is None:
        return _check_unset(rc, assignment, name)
    if set_on <= assignment.line:
        return None
    if name in PRESET:
        return _check_preset(rc, assignment, name, set_on)
    if name == "SERVICE_HOST" and assignment.name in _SERVICE_HOSTS:
        return None  # empty or not, DevStack makes it $SERVICE_HOST
    return _empty_text(
        rc,
        assignment,
        name,
        reason=f"is set on line {set_on} only",
        fix=f"move {name}=... above line {assignment.line}",
    )


def _check_unset(rc: Localrc, assignment: shell.Assignment, name: str) -> Finding | None:
    """Return the finding of a value that refers to a name that the file does not set."""
    # stackrc sets both after it has read localrc; other names may come from the environment.
    if name not in ("HOST_IP", "SERVICE_HOST"):
        return None
    if name == "SERVICE_HOST" and rc.is_compute:
        return None  # a rule of its own tells what a compute lacks then
    return _empty_text(
        rc,
        assignment,
        name,
        reason="is not set in this file, and DevStack sets it later",
        fix=f"{name}=... above line {assignment.line}",
    )


def _empty_text(
    rc: Localrc, assignment: shell.Assignment, name: str, *, reason: str, fix: str
) -> Finding:
    return _BOOK.finding(
        "shell-used-before-set",
        rc.file,
        assignment.line,
        effect=f"{assignment.name} gets an empty text for ${name}, which {reason}",
        fix=fix,
    )


def _check_misspelt_use(
    rc: Localrc,
    assignment: shell.Assignment,
    name: str,
    first_lines: Mapping[str, int],
    nearest: Near,
) -> Finding | None:
    """Return the finding of a name that nothing sets, and that is nearly one that the file sets."""
    if name in first_lines or name in ENVIRONMENT or name in PRESET or name in known_variables():
        return None
    near = nearest(name)
    # $NODE_1 beside NODE_2 may well come from the environment.
    if not near or _DIGITS.sub("", near) == _DIGITS.sub("", name):
        return None
    return _BOOK.finding(
        "shell-used-before-set",
        rc.file,
        assignment.line,
        effect=f"{assignment.name} gets an empty text for ${name}, which nothing sets, unless the "
        "environment does",
        fix=f"write ${near}",
    )


def _check_preset(
    rc: Localrc, assignment: shell.Assignment, name: str, set_on: int
) -> Finding | None:
    """Return the finding of a value that takes stackrc's default of a name that is set below."""
    if rc.values.get(name) == PRESET[name]:
        return None
    return _BOOK.finding(
        "shell-used-before-set",
        rc.file,
        assignment.line,
        effect=f"{assignment.name} gets {PRESET[name]} for ${name}, the default: line {set_on} "
        "sets it too late",
        fix=f"move {name}=... above line {assignment.line}",
    )
