"""Rules for contrail-installer's localrc, as contrail.sh and its helper scripts take it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stacklab.installers.contrail.lint import hosts
from stacklab.installers.contrail.lint.hosts import is_compute, is_known_to_bash_alone
from stacklab.installers.contrail.lint.names import NAMES
from stacklab.installers.devstack.lint import localrc
from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.installers.devstack.lint.rules import shell_rules
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.lint.near import Near
from stacklab.lint.readers import shell
from stacklab.lint.scope import Scope, Source

_SH = "Juniper/contrail-installer@cfe0fc0:contrail.sh"
_CONFIG = "Juniper/contrail-installer@cfe0fc0:contrail_config_functions"
RULES = (
    *shell_rules.RULES,
    *hosts.RULES,
    # What is installed, and how.
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
    # Secrets.
    rule("contrail-secret-missing", "a missing RABBIT_PASSWORD or SERVICE_TOKEN", _SH),
    rule(
        "contrail-secret-characters",
        "a secret with characters other than letters and digits",
        f"{_CONFIG}: check_replace_value",
    ),
    # Logs and sources.
    warning("contrail-logfile", "a missing LOGFILE", f"{_SH}: setup_logging"),
    rule("contrail-repo-proto", "sources by ssh", _SH),
    # Words for yes and no: each variable has its own spelling.
    rule("contrail-lower-case", "a USE_CERTS or MULTI_TENANCY in capitals", f"{_CONFIG}"),
    rule("contrail-capital", "a USE_DISCOVERY in small letters", f"{_CONFIG}"),
    # Names.
    warning(
        "contrail-inert",
        "a variable that contrail.sh does not read, or overwrites",
        "localrc/releases.yaml: inert",
    ),
    rule("contrail-name", "a name that is nearly one of contrail.sh's", _SH),
)
_BOOK = Book(RULES)
# What contrail.sh writes into configuration files by sed.
_SECRETS = (
    "ADMIN_PASSWORD",
    "DATABASE_PASSWORD",
    "RABBIT_PASSWORD",
    "SERVICE_PASSWORD",
    "SERVICE_TOKEN",
)


# What happens without them.
_NEEDED_SECRETS = {
    "RABBIT_PASSWORD": "the rabbit user gets an empty password, and services cannot log in",
    "SERVICE_TOKEN": "contrail.sh executes a random word where it means to print one",
}
# What happens with another value than true and false.
_LOWER_CASE = {
    "USE_CERTS": "contrail.sh runs the value as a command, and only true and false are commands",
    "MULTI_TENANCY": "it is written to files whose readers expect true or false",
}


def lint(source: Source, scope: Scope) -> Iterator[Finding]:
    """Yield every finding in a localrc of contrail-installer."""
    rc = localrc.load(source, scope)
    yield from shell_rules.check(rc)
    has_carriage_returns = any(line.endswith("\r") for line in source.lines)
    # bash takes other values from such a file than those that are seen here.
    if has_carriage_returns or rc.script.unclosed:
        return
    yield from hosts.check(rc)
    for check_rule in (
        _check_profile,
        _check_default_install,
        _check_default_install_line,
        _check_required,
        _check_needed_secrets,
        _check_secret_characters,
        _check_lower_case,
        _check_discovery,
        _check_names,
    ):
        yield from check_rule(rc)


def _check_profile(rc: Localrc) -> Iterator[Finding]:
    name = "INSTALL_PROFILE"
    value = rc.value(name)
    if value in ("ALL", "COMPUTE") or is_known_to_bash_alone(rc, name):
        return
    wrong = f"{value} is neither ALL nor COMPUTE" if value else f"{name} is not set"
    # What was meant: a misspelt word tells it, or else the node's role in its lab.
    is_for_compute = value.upper().startswith("COMP") or rc.scope.is_controller is False
    yield _BOOK.finding(
        "contrail-profile",
        rc.file,
        rc.line(name),
        effect=f"contrail.sh installs nothing and still ends with status 0: {wrong}",
        fix=f"{name}={'COMPUTE' if is_for_compute else 'ALL'}",
    )


def _check_default_install(rc: Localrc) -> Iterator[Finding]:
    name = "CONTRAIL_DEFAULT_INSTALL"
    value = rc.value(name)
    if value in ("True", "False"):
        return
    # Its scripts have different defaults for it.
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
        "contrail-default-install",
        rc.file,
        rc.line(name),
        effect=effect,
        fix=f"{name}=True or {name}=False",
    )


def _check_default_install_line(rc: Localrc) -> Iterator[Finding]:
    """Yield lines that setup_devstack.sh's grep finds beside the one that sets the value."""
    name = "CONTRAIL_DEFAULT_INSTALL"
    # A comment counts, too: grep does not know what one is.
    mentions = [number for number, line in enumerate(rc.lines, start=1) if name in line]
    if not mentions:
        return
    if len(mentions) > 1:
        wrong = f"lines {', '.join(map(str, mentions))} mention it"
        setting_line = rc.line(name)
        line = next(number for number in mentions if number != setting_line)
    else:
        wrong = "something stands beside name and value"
        line = mentions[0]
        if re.fullmatch(rf"{name}=\w*", rc.lines[line - 1]):
            return
    yield _BOOK.finding(
        "contrail-default-install-grep",
        rc.file,
        line,
        effect=f"setup_devstack.sh greps for {name} and compares all that it finds with True: "
        f"{wrong}",
        fix=f"write {name}=True, unquoted, alone on the only line that names it",
    )


def _check_required(rc: Localrc) -> Iterator[Finding]:
    # Without these, contrail.sh starts all the same, and fails later.
    if not rc.value("SERVICE_TIMEOUT").isdigit():
        yield _BOOK.finding(
            "contrail-timeout",
            rc.file,
            rc.line("SERVICE_TIMEOUT"),
            effect='contrail.sh says "api-server did not start" without waiting, because '
            "`timeout` does not get a number of seconds",
            fix="SERVICE_TIMEOUT=600",
        )
    if not rc.is_set("LOGFILE"):
        yield _BOOK.finding(
            "contrail-logfile",
            rc.file,
            line=0,
            effect="contrail.sh throws away all of its output",
            fix="LOGFILE=$PWD/log/contrail.log",
        )
    protocol = rc.value("CONTRAIL_REPO_PROTO")
    uses_ssh = protocol == "ssh" or not rc.is_set("CONTRAIL_REPO_PROTO")
    # Packages need no sources, so an unset protocol does no harm then.
    is_from_source = rc.value("CONTRAIL_DEFAULT_INSTALL") == "False"
    if uses_ssh and (is_from_source or protocol):
        yield _BOOK.finding(
            "contrail-repo-proto",
            rc.file,
            rc.line("CONTRAIL_REPO_PROTO"),
            effect="contrail.sh fetches sources by ssh from git@github.com, for which this "
            "node needs a key of a GitHub account",
            fix="CONTRAIL_REPO_PROTO=https",
        )


def _check_needed_secrets(rc: Localrc) -> Iterator[Finding]:
    for name, effect in _NEEDED_SECRETS.items():
        # The rabbit user is the controller's, but the token is looked for on every node.
        is_needed = name == "SERVICE_TOKEN" or not is_compute(rc)
        is_empty = not rc.value(name) and not is_known_to_bash_alone(rc, name)
        if is_needed and is_empty:
            yield _BOOK.finding(
                "contrail-secret-missing",
                rc.file,
                rc.line(name),
                effect=f"{effect}: {name} is not set",
                fix=f"{name}=...",
            )


def _check_secret_characters(rc: Localrc) -> Iterator[Finding]:
    for name in _SECRETS:
        assignment = rc.settled.get(name)
        if assignment is None or not _is_changed_by_sed(rc, name, assignment):
            continue
        yield _BOOK.finding(
            "contrail-secret-characters",
            rc.file,
            assignment.line,
            effect=f"contrail.sh writes {name} by an unquoted sed, which changes or cuts what is "
            f"not a letter or a digit",
            fix="write letters and digits only",
        )


def _is_changed_by_sed(rc: Localrc, name: str, assignment: shell.Assignment) -> bool:
    value = rc.values.get(name, "")
    if value is None:  # only bash knows it; a variable of the file's own has its own finding
        return any(used not in rc.values for used in assignment.value.names)
    return re.search(r"[^A-Za-z0-9]", value) is not None


def _check_lower_case(rc: Localrc) -> Iterator[Finding]:
    for name, effect in _LOWER_CASE.items():
        value = rc.value(name)
        if value in ("", "true", "false"):
            continue
        yield _BOOK.finding(
            "contrail-lower-case",
            rc.file,
            rc.line(name),
            effect=f"{name}={value}: {effect}",
            fix=f"{name}={'false' if _sounds_like_no(value) else 'true'}",
        )


def _check_discovery(rc: Localrc) -> Iterator[Finding]:
    name = "USE_DISCOVERY"
    value = rc.value(name)
    if value in ("", "True", "False"):
        return
    yield _BOOK.finding(
        "contrail-capital",
        rc.file,
        rc.line(name),
        effect=f"contrail.sh uses discovery, because {value} is not the word False",
        fix=f"{name}={'False' if _sounds_like_no(value) else 'True'}",
    )


def _sounds_like_no(value: str) -> bool:
    """Return True for what probably means false: FALSE, no, n, 0."""
    return value.lower()[:1] in "fn0"


def _check_names(rc: Localrc) -> Iterator[Finding]:
    release = rc.scope.release
    reasons = release.inert if release is not None else {}
    # A name of the file's own may be called anything, if the file itself uses it.
    used: set[str] = set()
    for assignment in rc.script.assignments:
        used.update(assignment.value.names)
    nearest = Near(NAMES, cutoff=0.88)
    for name, assignment in rc.settled.items():
        reason = reasons.get(name, "")
        if reason:
            yield _BOOK.finding(
                "contrail-inert",
                rc.file,
                assignment.line,
                effect=f"contrail.sh does not use this {name}: {reason}",
                fix="remove the line",
            )
            continue
        if name in NAMES or name in used:
            continue
        meant = nearest(name)
        if meant:
            yield _BOOK.finding(
                "contrail-name",
                rc.file,
                assignment.line,
                effect=f"contrail.sh does not read {name}, and the line does nothing",
                fix=f"{meant}=...",
            )
