"""Rules for names that DevStack does not know: nearly its services and variables, or inert."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set

from stacklab.installers.devstack.lint import known
from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.installers.devstack.lint.rules import plugins
from stacklab.installers.devstack.lint.rules.sources import is_before_table, named_release
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.lint.kinds import newest_release
from stacklab.lint.near import Near
from stacklab.model.release import Release
from stacklab.model.stack import Installer

RULES = (
    rule(
        "devstack-service-name",
        "a service that is nearly one of DevStack's",
        "openstack/devstack@493835a:functions-common: is_service_enabled",
    ),
    warning(
        "devstack-gone-service",
        "a service that the release does not have",
        "openstack/devstack: lib/ at each release's tag",
        is_of_age=True,
    ),
    rule(
        "devstack-service-plugin",
        "a service whose plugin is not enabled",
        "openstack/devstack: lib/ at each release's tag; the plugins' devstack/settings",
        is_of_age=True,
    ),
    rule(
        "devstack-name",
        "a variable that is nearly one of DevStack's",
        "openstack/devstack@493835a:stackrc",
    ),
    warning(
        "devstack-inert",
        "a variable that the release does not read",
        "localrc/releases.yaml: inert; localrc/devstack/variables.yaml, from each release's tag",
        is_of_age=True,
    ),
)
_BOOK = Book(RULES)

_SERVICE = re.compile(r"[A-Za-z0-9_-]+")
# What these were called before the table, and people still write; files for those releases may.
_OLD_NAMES = {"n-vol": "c-vol", "quantum": "neutron"}
# What people write who know nova's and neutron's own names of these.
_OWN_NAMES = {
    "n-compute": "n-cpu",
    "n-conductor": "n-cond",
    "n-scheduler": "n-sch",
    "q-agent": "q-agt",
    "q-server": "q-svc",
}
_NEAR_SERVICE = 0.85  # n-cpuu and n-cpu are; m-api of Manila's plugin and n-api are not

# What people set by hand. Of DevStack's 3000 other names one alone is as near to any of them.
_VARIABLES = frozenset(
    {
        "ADMIN_PASSWORD",
        "DATABASE_HOST",
        "DATABASE_PASSWORD",
        "DATABASE_TYPE",
        "DISABLED_SERVICES",
        "ENABLED_SERVICES",
        "FIXED_RANGE",
        "FLOATING_RANGE",
        "GIT_BASE",
        "GLANCE_HOSTPORT",
        "HOST_IP",
        "IPV4_ADDRS_SAFE_TO_USE",
        "LIBVIRT_TYPE",
        "LOGFILE",
        "MYSQL_HOST",
        "NETWORK_GATEWAY",
        "NOVNCPROXY_URL",
        "PUBLIC_INTERFACE",
        "PUBLIC_NETWORK_GATEWAY",
        "Q_AGENT",
        "Q_ML2_PLUGIN_MECHANISM_DRIVERS",
        "Q_ML2_TENANT_NETWORK_TYPE",
        "RABBIT_HOST",
        "RABBIT_PASSWORD",
        "SERVICE_HOST",
        "SERVICE_PASSWORD",
        "VIRT_DRIVER",
        "VNCSERVER_LISTEN",
    }
)
_OTHERS = frozenset({"IPV6_ADDRS_SAFE_TO_USE"})  # DevStack's own, and near to one of the above
_NEAR_VARIABLE = 0.92
# What nobody misses: services do without it, or by other means.
HARMLESS = frozenset(
    {
        "API_RATE_LIMIT",
        "EBTABLES_RACE_FIX",
        "KEYSTONE_USE_MOD_WSGI",
        "PIP_USE_MIRRORS",
        "Q_USE_DEBUG_COMMAND",
        "SCREEN_LOGDIR",
        "SERVICE_TOKEN",
        "USE_PYTHON3",
        "USE_SCREEN",
        "USE_SYSTEMD",
    }
)
# What does the work of a variable in later releases.
_RENAMED = {
    "EXTRA_OPTS": "write the options into local.conf, below [[post-config|$NOVA_CONF]] and "
    "[DEFAULT]",
    "TENANT_TUNNEL_RANGE": "TENANT_TUNNEL_RANGES=1:1000, as Juno and later call it",
}


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    yield from _find_unknown_services(rc)
    yield from _find_unknown_variables(rc)
    if rc.scope.release is not None:
        yield from _find_gone_services(rc, rc.scope.release)
        yield from _find_missing_plugins(rc, rc.scope.release)
        yield from _find_inert_names(rc, rc.scope.release)


def _find_unknown_services(rc: Localrc) -> Iterator[Finding]:
    """Yield services that no release has, if they are near to one that this release has."""
    names = known.services(rc.scope.release) | known.services_of_plugins(rc.plugins)
    old_names = _OWN_NAMES if is_before_table(named_release(rc)) else _OLD_NAMES | _OWN_NAMES
    nearest = Near(names, cutoff=_NEAR_SERVICE)
    sorted_letters = {_sort_letters(name): name for name in sorted(names)}
    listed = (
        (rc.services.enabled, "nothing is started for it"),
        (rc.services.disabled, "nothing is disabled: {near} stays as it is"),
    )
    for lines, effect in listed:
        for name, line in _find_unknown(lines):
            # Swapped letters are the more frequent mistake, and cheaper to find.
            near = sorted_letters.get(_sort_letters(name), "")
            # A plugin's settings are not read, so nothing is known of names that may be its own.
            if not near and not known.may_be_of_plugin(name, rc.plugins):
                near = nearest(name.lower()) or old_names.get(name, "")
                near = near or _find_alike_agent(name, names)
            if near:
                yield _describe_service(rc, name, line, near, effect.format(near=near))


def _find_unknown(lines: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Yield services that no release has, with their lines; what is not a name has other rules."""
    for name, line in lines.items():
        if name not in known.every_service() and _SERVICE.fullmatch(name):
            yield name, line


def _describe_service(rc: Localrc, name: str, line: int, near: str, effect: str) -> Finding:
    return _BOOK.finding(
        "devstack-service-name",
        rc.file,
        line,
        effect=f"DevStack does not know a service {name}: {effect}",
        fix=f"write {near} instead of {name}",
    )


def _find_alike_agent(name: str, names: frozenset[str]) -> str:
    """Return neutron's service with one other letter: q-agt for q-apt, q-l3 for q-13.

    They are too short for a share of equal letters to tell.
    """
    bare = name.lower().strip("-")
    for other in sorted(names):
        is_alike = other.startswith("q-") and bare.startswith("q-") and len(other) == len(bare)
        if is_alike and sum(a != b for a, b in zip(bare, other, strict=True)) == 1:
            return other
    return ""


def _sort_letters(name: str) -> str:
    """Return a name without case, separators and order of letters.

    n_cpu and n-cup then equal n-cpu.
    """
    letters = re.sub(r"[_-]", "", name.lower())
    return "".join(sorted(letters))


def _find_unknown_variables(rc: Localrc) -> Iterator[Finding]:
    """Yield variables that are near to one of DevStack's, and that nothing in the file uses."""
    expected = _VARIABLES | _OTHERS | _find_used_names(rc)
    nearest = Near(_VARIABLES, cutoff=_NEAR_VARIABLE)
    yield from _check_bare_branch(rc, expected)
    for name, assignment in rc.settled.items():
        near = "" if name in expected else nearest(name)
        if not near:
            continue
        fix = f"{near}=..."
        # ENABLE_SERVICE=... was meant as the function enable_service.
        verb = name.partition("_")[0].lower()
        if verb in ("enable", "disable"):
            fix = f"{verb}_service NAME NAME"
        yield _BOOK.finding(
            "devstack-name",
            rc.file,
            assignment.line,
            effect=f"DevStack does not read {name}, and the line does nothing",
            fix=fix,
        )


def _check_bare_branch(rc: Localrc, expected: Set[str]) -> Iterator[Finding]:
    """Yield a BRANCH that no line of the file takes: each project has a variable of its own."""
    branch = rc.value("BRANCH")
    if "BRANCH" in expected or not branch.startswith(("stable/", "unmaintained/")):
        return
    yield _BOOK.finding(
        "devstack-name",
        rc.file,
        rc.line("BRANCH"),
        effect="DevStack does not read BRANCH, and no line of this file does: every project is of "
        "the release that DevStack itself is of",
        fix=f"take DevStack at {branch}, or write NOVA_BRANCH=$BRANCH, and so on",
    )


def _find_used_names(rc: Localrc) -> set[str]:
    """Return the variables that the file refers to: people have names of their own."""
    used: set[str] = set()
    for assignment in rc.script.assignments:
        used.update(assignment.value.names)
    for call in rc.script.calls:
        for argument in call.args:
            used.update(argument.names)
    return used


def _find_gone_services(rc: Localrc, release: Release) -> Iterator[Finding]:
    """Yield enabled services that the release starts nothing for, and that nothing replaced."""
    current = known.services(release)
    eras = known.service_eras()
    for name, line in rc.services.enabled.items():
        is_told = name in current or name in release.replaced or name == "n-net"
        if is_told or name not in eras or known.may_be_of_plugin(name, rc.plugins):
            continue
        first, last = eras[name]
        when = f"{last} was the last to have it"
        if not last or not known.is_before(last, release.name):
            when = f"{first} is the first to have it"
        plugin = known.plugin_of_service().get(name)
        if plugin is None:
            yield _BOOK.finding(
                "devstack-gone-service",
                rc.file,
                line,
                effect=f"DevStack {release.name} starts nothing for {name}: {when}",
                fix=f"remove {name}",
            )


def _find_missing_plugins(rc: Localrc, release: Release) -> Iterator[Finding]:
    """Yield services of plugins that the file does not enable."""
    # Another file may enable them.
    if any(call.name in (".", "source") for call in rc.script.calls):
        return
    current = known.services(release)
    reported: set[str] = set()
    for name, line in rc.services.enabled.items():
        plugin = known.plugin_of_service().get(name, "")
        is_there = not plugin or name in current or known.may_be_of_plugin(name, rc.plugins)
        # Of a plugin's services the first tells all.
        if is_there or plugin in reported or "plugins" not in release.options:
            continue
        reported.add(plugin)
        retired = ", and which OpenStack has retired" if plugins.is_retired(plugin) else ""
        yield _BOOK.finding(
            "devstack-service-plugin",
            rc.file,
            line,
            effect=f"nothing is started for {name}: it is of {plugin}'s plugin, which this file "
            f"does not enable{retired}",
            fix=plugins.advise_on_missing(rc, name, plugin, release),
        )


def _find_inert_names(rc: Localrc, release: Release) -> Iterator[Finding]:
    """Yield variables that the release does not read."""
    is_half = "contrail" in rc.value("Q_PLUGIN")
    fix = "remove the line"
    if rc.scope.lab is None:
        fix = "remove the line, or say which release the file is for"
    used = _find_used_names(rc)
    is_of_one_release = _is_of_one_release(rc, release)
    names_of: dict[str, list[str]] = {}  # what one reason is given for is one finding
    for name in rc.values:
        reason = release.inert.get(name) or _why_unread(rc, name, release)
        # The other half's contrail.sh wants the same secrets. A name that the file itself uses
        # has a reader; one that other lines lead to is told by what becomes of them.
        if not reason or name in used or (is_half and name == "SERVICE_TOKEN"):
            continue
        cause = reason if name in release.inert else name
        if is_of_one_release and name in HARMLESS:
            cause = "harmless"
        elif name.endswith(("_BRANCH", "_REPO")):
            cause = reason  # those of a server and of its client go together
        names_of.setdefault(cause, []).append(name)
    for names in names_of.values():
        first, *others = sorted(names, key=rc.line)
        plural = f"the lines{fix.removeprefix('remove the line')}"
        yield _BOOK.finding(
            "devstack-inert",
            rc.file,
            rc.line(first),
            effect=f"DevStack {release.name} does not read {_list_inert(rc, release, names)}",
            fix=_RENAMED.get(first) or (f"remove {plural}" if others else fix),
        )


def _is_of_one_release(rc: Localrc, release: Release) -> bool:
    """Return True unless the file may be for others, which do read some of its names."""
    era = rc.scope.era
    return era is None or era.is_certain or release == newest_release(Installer.DEVSTACK)


def _list_inert(rc: Localrc, release: Release, names: Sequence[str]) -> str:
    """Return names that are told at once, each with why it is not read."""
    shown: dict[str, list[str]] = {}
    first, *others = sorted(names, key=rc.line)
    for name in (first, *others):
        reason = release.inert.get(name) or _why_unread(rc, name, release)
        line = "" if name == first else f" (line {rc.line(name)})"
        shown.setdefault(reason, []).append(f"{name}{line}")
    return "; ".join(f"{', '.join(alike)}: {reason}" for reason, alike in shown.items())


def _why_unread(rc: Localrc, name: str, release: Release) -> str:
    """Return why a variable of older releases is not read; "" if it is, or a plugin may."""
    first, last = known.variable_eras().get(name, ("", ""))
    if not last or known.is_in(release.name, first, last):
        return ""
    if known.may_be_of_plugin(name, rc.plugins) or not known.is_before(last, release.name):
        return ""
    return f"{last} was the last to do so"
