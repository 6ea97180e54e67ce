"""Rules for contrail-installer's localrc, as contrail.sh and its helper scripts take it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stacklab.installers.contrail.lint import hosts
from stacklab.installers.contrail.lint.hosts import is_compute
from stacklab.installers.contrail.lint.names import NAMES
from stacklab.installers.devstack.lint import localrc, shell_rules
from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.lint import shell
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.lint.near import Near
from stacklab.lint.scope import Scope, Source

_SH = "Juniper/contrail-installer@cfe0fc0:contrail.sh"
_CONFIG = "Juniper/contrail-installer@cfe0fc0:contrail_config_functions"
RULES = (
    *shell_rules.RULES,
    *hosts.RULES,
    rule("contrail-profile", "an INSTALL_PROFILE that is neither ALL nor COMPUTE", _SH),
    rule(
        "contrail-default-install", "a CONTRAIL_DEFAULT_INSTALL that is neither True nor False", _SH
    ),
    warning(
        "contrail-default-install-grep",
        "a CONTRAIL_DEFAULT_INSTALL that is not alone on one plain line",
        "Juniper/contrail-installer@cfe0fc0:setup_devstack.sh",
    ),
    rule("contrail-timeout", "a SERVICE_TIMEOUT that is missing, or not a number", _SH),
    rule("contrail-secret-missing", "a missing RABBIT_PASSWORD or SERVICE_TOKEN", _SH),
    rule(
        "contrail-secret-characters",
        "a secret with characters other than letters and digits",
        f"{_CONFIG}: check_replace_value",
    ),
    warning("contrail-logfile", "a missing LOGFILE", f"{_SH}: setup_logging"),
    rule("contrail-repo-proto", "sources by ssh", _SH),
    rule("contrail-lower-case", "a USE_CERTS or MULTI_TENANCY in capitals", f"{_CONFIG}"),
    rule("contrail-capital", "a USE_DISCOVERY in small letters", f"{_CONFIG}"),
    warning(
        "contrail-inert",
        "a variable that contrail.sh does not read, or overwrites",
        "localrc/releases.yaml: inert",
    ),
    rule("contrail-name", "a name that is nearly one of contrail.sh's", _SH),
)
_BOOK = Book(RULES)
_SECRETS = (
    "ADMIN_PASSWORD",
    "DATABASE_PASSWORD",
    "RABBIT_PASSWORD",
    "SERVICE_PASSWORD",
    "SERVICE_TOKEN",
)


def lint(source: Source, scope: Scope) -> Iterator[Finding]:
    """Yield every finding in a localrc of contrail-installer."""
    rc = localrc.load(source, scope)
    yield from shell_rules.check(rc)
    if any(line.endswith("\r") for line in source.lines) or rc.script.unclosed:
        return
    yield from hosts.check(rc)
    for rule_check in (_profile, _install, _grepped, _required, _secrets, _words, _names):
        yield from rule_check(rc)


def _profile(rc: Localrc) -> Iterator[Finding]:
    value = rc.value("INSTALL_PROFILE")
    if value in ("ALL", "COMPUTE") or (
        rc.is_set("INSTALL_PROFILE") and rc.values["INSTALL_PROFILE"] is None
    ):
        return
    what = f"{value} is neither ALL nor COMPUTE" if value else "INSTALL_PROFILE is not set"
    is_for_compute = value.upper().startswith("COMP") or rc.scope.is_controller is False
    yield _BOOK.finding(
        "contrail-profile",
        rc.file,
        rc.line("INSTALL_PROFILE"),
        f"contrail.sh installs nothing and still ends with status 0: {what}",
        f"INSTALL_PROFILE={'COMPUTE' if is_for_compute else 'ALL'}",
    )


def _install(rc: Localrc) -> Iterator[Finding]:
    name = "CONTRAIL_DEFAULT_INSTALL"
    value = rc.value(name)
    if value in ("True", "False"):
        return
    if not rc.is_set(name):
        effect = (
            "unset it means one thing where the services are chosen (from source) "
            "and another later (packages)"
        )
    else:
        effect = (
            "contrail.sh builds everything from source, because "
            f"{value or 'nothing'} is not the word True"
        )
    yield _BOOK.finding(
        "contrail-default-install", rc.file, rc.line(name), effect, f"{name}=True or {name}=False"
    )


def _grepped(rc: Localrc) -> Iterator[Finding]:
    name = "CONTRAIL_DEFAULT_INSTALL"
    mentions = [number for number, line in enumerate(rc.lines, start=1) if name in line]
    if len(mentions) > 1:
        wrong = f"lines {', '.join(map(str, mentions))} mention it"
        line = next(number for number in mentions if number != rc.line(name))
    elif mentions and not re.fullmatch(rf"{name}=\w*", rc.lines[mentions[0] - 1]):
        wrong, line = "something stands beside name and value", mentions[0]
    else:
        return
    yield _BOOK.finding(
        "contrail-default-install-grep",
        rc.file,
        line,
        f"setup_devstack.sh greps for {name} and compares all that it finds with True: {wrong}",
        f"write {name}=True, unquoted, alone on the only line that names it",
    )


def _required(rc: Localrc) -> Iterator[Finding]:
    if not rc.value("SERVICE_TIMEOUT").isdigit():
        yield _BOOK.finding(
            "contrail-timeout",
            rc.file,
            rc.line("SERVICE_TIMEOUT"),
            'contrail.sh says "api-server did not start" without waiting, because '
            "`timeout` does not get a number of seconds",
            "SERVICE_TIMEOUT=600",
        )
    if not rc.is_set("LOGFILE"):
        yield _BOOK.finding(
            "contrail-logfile",
            rc.file,
            0,
            "contrail.sh throws away all of its output",
            "LOGFILE=$PWD/log/contrail.log",
        )
    proto, is_from_source = (
        rc.value("CONTRAIL_REPO_PROTO"),
        rc.value("CONTRAIL_DEFAULT_INSTALL") == "False",
    )
    if (proto == "ssh" or not rc.is_set("CONTRAIL_REPO_PROTO")) and (is_from_source or proto):
        yield _BOOK.finding(
            "contrail-repo-proto",
            rc.file,
            rc.line("CONTRAIL_REPO_PROTO"),
            "contrail.sh fetches sources by ssh from git@github.com, for which this "
            "node needs a key of a GitHub account",
            "CONTRAIL_REPO_PROTO=https",
        )


def _secrets(rc: Localrc) -> Iterator[Finding]:
    for name, effect in (
        ("RABBIT_PASSWORD", "the rabbit user gets an empty password, and services cannot log in"),
        ("SERVICE_TOKEN", "contrail.sh executes a random word where it means to print one"),
    ):
        is_needed = name == "SERVICE_TOKEN" or not is_compute(rc)
        is_empty = not rc.value(name) and rc.values.get(name, "") is not None
        if is_needed and is_empty:
            yield _BOOK.finding(
                "contrail-secret-missing",
                rc.file,
                rc.line(name),
                f"{effect}: {name} is not set",
                f"{name}=...",
            )
    for name in _SECRETS:
        assignment = rc.settled.get(name)
        if assignment is not None and _is_changed_by_sed(rc, name, assignment):
            yield _BOOK.finding(
                "contrail-secret-characters",
                rc.file,
                assignment.line,
                f"contrail.sh writes {name} by an unquoted sed, which changes or cuts what is not "
                f"a letter or a digit",
                "write letters and digits only",
            )


def _is_changed_by_sed(rc: Localrc, name: str, assignment: shell.Assignment) -> bool:
    value = rc.values.get(name, "")
    if value is None:  # only bash knows it; a variable of the file's own has its own finding
        return any(used not in rc.values for used in assignment.value.names)
    return bool(re.search(r"[^A-Za-z0-9]", value))


def _words(rc: Localrc) -> Iterator[Finding]:
    for name in ("USE_CERTS", "MULTI_TENANCY"):
        if rc.value(name) not in ("", "true", "false"):
            effect = (
                "contrail.sh runs the value as a command, and only true and false are commands"
                if name == "USE_CERTS"
                else ("it is written to files whose readers expect true or false")
            )
            yield _BOOK.finding(
                "contrail-lower-case",
                rc.file,
                rc.line(name),
                f"{name}={rc.value(name)}: {effect}",
                f"{name}={'false' if rc.value(name).lower()[:1] in 'fn0' else 'true'}",
            )
    for name in ("USE_DISCOVERY",):
        if rc.value(name) not in ("", "True", "False"):
            yield _BOOK.finding(
                "contrail-capital",
                rc.file,
                rc.line(name),
                f"contrail.sh uses discovery, because {rc.value(name)} is not the word False",
                f"{name}={'False' if rc.value(name).lower()[:1] in 'fn0' else 'True'}",
            )


def _names(rc: Localrc) -> Iterator[Finding]:
    inert = {
        name: why
        for name, why in (rc.scope.release.inert.items() if rc.scope.release else ())
        if why
    }
    used = {name for assignment in rc.script.assignments for name in assignment.value.names}
    nearest = Near(NAMES, cutoff=0.88)
    for name, assignment in rc.settled.items():
        if name in inert:
            yield _BOOK.finding(
                "contrail-inert",
                rc.file,
                assignment.line,
                f"contrail.sh does not use this {name}: {inert[name]}",
                "remove the line",
            )
        elif name not in NAMES | used and (near := nearest(name)):
            yield _BOOK.finding(
                "contrail-name",
                rc.file,
                assignment.line,
                f"contrail.sh does not read {name}, and the line does nothing",
                f"{near}=...",
            )
