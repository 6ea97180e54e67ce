"""Rules for DevStack's passwords; no finding holds a value."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stacklab.installers.devstack.lint import known
from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.model.release import Release

_READ = "openstack/devstack@493835a:stack.sh: read_password"
RULES = (
    # What stack.sh asks for at its prompt.
    rule("devstack-password-missing", "a password that is not set", _READ),
    rule("devstack-password-empty", "a password that is empty", _READ),
    # What arrives in another form than it was written.
    rule(
        "devstack-password-characters",
        "a password of other characters than letters, digits, - _ . ~ and !",
        _READ,
        is_of_age=True,
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
# DevStack's own, which it writes into commands and URLs; those of plugins go into options alone.
_OWN = frozenset({*PASSWORDS, "MYSQL_PASSWORD", "SERVICE_TOKEN", "SWIFT_HASH"})
# Seen with iniset of icehouse-eol and of stable/2026.1: these arrive, in options and in URLs. Not
# in front, where programs take a - for an option, and bash a ~ for a directory. A ! is history for
# an interactive shell alone; sed, SQL and URLs leave it.
_ARRIVES = re.compile(r"[A-Za-z0-9_.!][A-Za-z0-9_.~!-]*")
# Newton's URL of RabbitMQ is the first that ends a password at its @: SQLAlchemy took the last one.
_ARRIVES_BEFORE_NEWTON = re.compile(r"[A-Za-z0-9_.!@][A-Za-z0-9_.~!@-]*")
_FIRST_WITH_URL = "newton"
# iniset leaves these, too; sed takes a \ and a &, bash the rest.
_ARRIVES_IN_OPTION = re.compile(r"[A-Za-z0-9_.!@%+=:,^/#;][A-Za-z0-9_.~!@%+=:,^/#;-]*")
_ONLY_NAME = re.compile(r'"?\$\{?([A-Za-z_]\w*)\}?"?')  # a value that is another variable's
# What nobody takes for a password: a whole value that the environment is to give.
_OF_ENVIRONMENT = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
_LONGEST_OF_HORIZON = 20  # characters
_BAD_FIRST_CHARACTERS = {
    "~": "bash replaces a ~ at the front by a home directory",
    "-": "programs take a - at the front for an option",
}


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    release = rc.scope.release
    # A file that bash stops reading may set the rest of them further down.
    if ".localrc.password" not in rc.scope.siblings and not rc.script.unclosed:
        yield from _find_missing_passwords(rc)
    if release is not None and not rc.is_compute:
        yield from _check_missing_token(rc, release)
    inert = release.inert if release else {}
    for name in rc.settled:
        if not _CHECKED.fullmatch(name) or inert.get(name):
            continue
        # DATABASE_PASSWORD=$ADMIN_PASSWORD: the password is written there, and told there.
        used = _ONLY_NAME.fullmatch(rc.settled[name].value.raw)
        if used is None or not _CHECKED.fullmatch(used[1]) or used[1] not in rc.settled:
            yield from _check_password(rc, name)


def _find_missing_passwords(rc: Localrc) -> Iterator[Finding]:
    """Yield one finding for all passwords that a file lacks.

    stack.sh asks for them and writes the answers into .localrc.password.
    """
    missing = [name for name in PASSWORDS if not rc.is_set(name)]
    # stack.sh asks for RabbitMQ's where that is what carries messages.
    is_another = rc.services.has("qpid", "zeromq") and rc.services.lacks("rabbit")
    if is_another and "RABBIT_PASSWORD" in missing:
        missing.remove("RABBIT_PASSWORD")
    # MYSQL_PASSWORD is the older name of the same password.
    if "DATABASE_PASSWORD" in missing and rc.is_set("MYSQL_PASSWORD"):
        missing.remove("DATABASE_PASSWORD")
    if not missing:
        return
    effect = "stack.sh stops and asks"
    if rc.is_compute:
        effect = (
            "a compute is not asked for all of them: those stay empty, and its services are "
            "refused by the controller's"
        )
    yield _BOOK.finding(
        "devstack-password-missing",
        rc.file,
        0,
        effect=f"{', '.join(missing)} not set: {effect}",
        fix=" ".join(f"{name}=..." for name in missing),
    )


def _check_missing_token(rc: Localrc, release: Release) -> Iterator[Finding]:
    """Yield a missing SERVICE_TOKEN, in releases that read it."""
    if release.inert.get("SERVICE_TOKEN") or rc.is_set("SERVICE_TOKEN"):
        return
    yield _BOOK.finding(
        "devstack-service-token",
        rc.file,
        0,
        effect=f"SERVICE_TOKEN not set: stack.sh of {release.name} stops and asks for it",
        fix="SERVICE_TOKEN=...",
    )


def _check_password(rc: Localrc, name: str) -> Iterator[Finding]:
    """Yield a password that does not reach the services as it is written."""
    value, line = rc.values[name], rc.line(name)
    if value == "" and name not in rc.uncertain:
        yield _BOOK.finding(
            "devstack-password-empty",
            rc.file,
            line,
            effect=f"stack.sh treats {name} as not set, because it is empty",
            fix=f"{name}=...",
        )
    elif _is_changed(rc, name):
        yield _BOOK.finding(
            "devstack-password-characters",
            rc.file,
            line,
            effect=f"{name} changes on its way to the services: {_explain_change(value)}",
            fix="write letters, digits, - _ . ~ and ! only, a letter or a digit first",
        )
    elif value and name == "ADMIN_PASSWORD" and len(value) > _LONGEST_OF_HORIZON:
        yield _BOOK.finding(
            "devstack-password-long",
            rc.file,
            line,
            effect="nobody can log in to Horizon, which cuts the password at 20 characters",
            fix="write a password of at most 20 characters",
        )


def _is_changed(rc: Localrc, name: str) -> bool:
    """Return True if a password surely changes on its way, by bash or by DevStack."""
    value, word = rc.values[name], rc.settled[name].value
    if value:
        return not _pattern_for(rc, name).fullmatch(value)
    if value == "":
        return False
    # What only bash can tell may be meant, such as $(cat file). Not a name that is not set, and
    # not $$, the number of the process.
    alone = _ONLY_NAME.fullmatch(word.raw)
    if alone is not None and _OF_ENVIRONMENT.fullmatch(alone[1]):
        return False
    unknown = [used for used in word.names if used not in rc.values]
    return bool(unknown) or "$$" in word.live


def _pattern_for(rc: Localrc, name: str) -> re.Pattern[str]:
    """Return how a password looks that arrives as it is written."""
    if name not in _OWN:
        return _ARRIVES_IN_OPTION
    if known.is_surely_before(rc.scope.release, _FIRST_WITH_URL):
        return _ARRIVES_BEFORE_NEWTON
    return _ARRIVES


def _explain_change(value: str | None) -> str:
    """Return what becomes of a password that is not taken as it is."""
    if value is None:
        return "bash replaces the part behind $"
    return _BAD_FIRST_CHARACTERS.get(
        value[0],
        "DevStack writes it unescaped into shell commands, URLs and sed scripts, "
        "where other characters have a meaning",
    )
