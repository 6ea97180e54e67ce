"""Rules for ENABLED_SERVICES=: what replaces the whole list, and what that undoes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from stacklab.installers.devstack.lint import known
from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding
from stacklab.lint.near import Near
from stacklab.lint.readers import shell

_STACKRC = "openstack/devstack@493835a:stackrc"
RULES = (
    rule("devstack-services-wiped", "ENABLED_SERVICES below enable_service", _STACKRC),
    rule("devstack-services-word", "a word instead of a list of services", _STACKRC),
)
_BOOK = Book(RULES)
_SWITCHES = ("enable_service", "disable_service")
_SHOWN = 5  # lines, which are enough to find the rest
_WORD = re.compile(r"[A-Za-z0-9_]+")  # a service of a plugin mostly has a -
# What people write who mean that there shall be services, or none.
_MEANT = frozenset({"true", "false", "yes", "no", "on", "off", "1", "0", "all", "default", "none"})
_NEARLY = 0.85  # a misspelt service has a rule of its own


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    yield from _find_wiped_changes(rc)
    yield from _find_words(rc)


def _find_wiped_changes(rc: Localrc) -> Iterator[Finding]:
    """Yield assignments of the list that undo the calls above them."""
    calls: list[shell.Call] = []  # since the list was last assigned
    for statement in rc.script.statements:
        if statement.conditional:
            continue
        if isinstance(statement, shell.Call):
            if statement.name in _SWITCHES:
                calls.append(statement)
            continue
        if statement.name != "ENABLED_SERVICES" or statement.is_appended:
            continue
        # ENABLED_SERVICES=$ENABLED_SERVICES,... keeps what the calls did.
        if "ENABLED_SERVICES" not in statement.value.names:
            undone = [call.line for call in calls if _is_undone(rc, call)]
            if undone:
                yield _describe_wiping(rc, statement.line, undone)
        calls = []


def _is_undone(rc: Localrc, call: shell.Call) -> bool:
    """Return True if the list at the end is another one than the call above it asks for."""
    for argument in call.args:
        if argument.is_dynamic:
            return True  # bash alone knows which services these are
        for name in argument.text.split(","):
            if call.name == "disable_service" and rc.services.has(name):
                return True
            is_lost = not rc.services.has(name) and name not in rc.services.disabled
            if call.name == "enable_service" and is_lost:
                return True
    return False


def _describe_wiping(rc: Localrc, line: int, undone: Sequence[int]) -> Finding:
    """Return the finding of an assignment on `line` that undoes calls on the other lines."""
    plural = "s" if len(undone) > 1 else ""
    shown = ", ".join(map(str, undone[:_SHOWN]))
    return _BOOK.finding(
        "devstack-services-wiped",
        rc.file,
        line,
        effect=f"this replaces the whole list, and undoes line{plural} {shown}",
        fix="write ENABLED_SERVICES= above every enable_service and disable_service, or "
        "ENABLED_SERVICES+=,...",
    )


def _find_words(rc: Localrc) -> Iterator[Finding]:
    """Yield a word that is not a service, and that is the whole list."""
    for assignment in rc.script.assignments:
        word = assignment.value.text
        if assignment.name != "ENABLED_SERVICES" or assignment.is_appended:
            continue
        if not _WORD.fullmatch(word) or not _is_no_service(rc, word):
            continue
        yield _BOOK.finding(
            "devstack-services-word",
            rc.file,
            assignment.line,
            effect=f"{word} is not a service, and replaces DevStack's whole default list: stack.sh "
            "starts only what lines below enable",
            fix="remove the line, or ENABLED_SERVICES=NAME,NAME,... with all services",
        )


def _is_no_service(rc: Localrc, word: str) -> bool:
    """Return True if surely no release has a service of that name, nor a plugin of the file."""
    if word.lower() in _MEANT:
        return True
    # A plugin's settings are not read, and contrail.sh has services of its own.
    if rc.plugins or "contrail" in rc.value("Q_PLUGIN"):
        return False
    every_service = known.every_service()
    return word not in every_service and not Near(every_service, cutoff=_NEARLY)(word.lower())
