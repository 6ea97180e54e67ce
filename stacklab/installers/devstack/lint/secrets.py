"""Rules for DevStack's passwords; no finding holds a value."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding

_READ = "openstack/devstack@493835a:stack.sh: read_password"
RULES = (
    rule("devstack-password-missing", "a password that is not set", _READ),
    rule("devstack-password-empty", "a password that is empty", _READ),
    rule(
        "devstack-password-characters",
        "a password of other characters than letters, digits, - _ . and ~",
        _READ,
    ),
    warning("devstack-password-long", "an admin's password of more than 20 characters", _READ),
    rule(
        "devstack-service-token",
        "a missing SERVICE_TOKEN for a release that asks for it",
        "openstack/devstack@liberty-eol:stack.sh",
    ),
)
_BOOK = Book(RULES)

PASSWORDS = ("ADMIN_PASSWORD", "DATABASE_PASSWORD", "RABBIT_PASSWORD", "SERVICE_PASSWORD")
_CHECKED = re.compile(r"[A-Z_]+_PASSWORD|SERVICE_TOKEN|SWIFT_HASH")
# Seen with iniset of icehouse-eol and of stable/2026.1: these arrive, in options and in URLs. Not
# in front, where
# programs take a - for an option, and bash a ~ for a directory.
_ARRIVES = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.~-]*")


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    yield from _missing(rc)
    yield from _token(rc)
    inert = rc.scope.release.inert if rc.scope.release else {}
    for name, assignment in rc.settled.items():
        if _CHECKED.fullmatch(name) and not inert.get(name):
            yield from _written(rc, name, assignment.line)


def _missing(rc: Localrc) -> Iterator[Finding]:
    if ".localrc.password" in rc.scope.siblings or rc.script.unclosed:
        return
    given = {*rc.values, *(["DATABASE_PASSWORD"] if rc.is_set("MYSQL_PASSWORD") else [])}
    missing = [name for name in PASSWORDS if name not in given]
    if not missing:
        return
    effect = (
        "stack.sh stops and asks"
        if not rc.is_compute
        else (
            "a compute is not asked for all of them: those stay empty, and its services are "
            "refused by the controller's"
        )
    )
    yield _BOOK.finding(
        "devstack-password-missing",
        rc.file,
        0,
        f"{', '.join(missing)} not set: {effect}",
        " ".join(f"{name}=..." for name in missing),
    )


def _token(rc: Localrc) -> Iterator[Finding]:
    release = rc.scope.release
    is_read = release is not None and not release.inert.get("SERVICE_TOKEN")
    if release and is_read and not rc.is_set("SERVICE_TOKEN") and not rc.is_compute:
        yield _BOOK.finding(
            "devstack-service-token",
            rc.file,
            0,
            f"SERVICE_TOKEN not set: stack.sh of {release.name} stops and asks for it",
            "SERVICE_TOKEN=...",
        )


def _written(rc: Localrc, name: str, line: int) -> Iterator[Finding]:
    value, word = rc.values[name], rc.settled[name].value
    unknown = [name for name in word.names if name not in rc.values]
    if value == "" and name not in rc.uncertain:
        yield _BOOK.finding(
            "devstack-password-empty",
            rc.file,
            line,
            f"stack.sh treats {name} as not set, because it is empty",
            f"{name}=...",
        )
    elif (value is None and (unknown or "$$" in word.live)) or (
        value and not _ARRIVES.fullmatch(value)
    ):
        yield _BOOK.finding(
            "devstack-password-characters",
            rc.file,
            line,
            f"{name} changes on its way to the services: {_changed(value)}",
            "write letters, digits, - _ . and ~ only, a letter or a digit first",
        )
    elif value and name == "ADMIN_PASSWORD" and len(value) > 20:
        yield _BOOK.finding(
            "devstack-password-long",
            rc.file,
            line,
            "nobody can log in to Horizon, which cuts the password at 20 characters",
            "write a password of at most 20 characters",
        )


def _changed(value: str | None) -> str:
    """Return what becomes of a password that is not taken as it is."""
    if value is None:
        return "bash replaces the part behind $"
    first = {
        "~": "bash replaces a ~ at the front by a home directory",
        "-": "programs take a - at the front for an option",
    }
    return first.get(
        value[0],
        "DevStack writes it unescaped into shell commands, URLs and sed scripts, "
        "where other characters have a meaning",
    )
