"""Rules for what DevStack fetches, and for words that it does not understand."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator

from stacklab import releases
from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.model.release import plain_name
from stacklab.model.stack import Driver, Installer

_COMMON = "openstack/devstack@493835a:functions-common"
RULES = (
    warning(
        "devstack-inert",
        "a variable that the release does not read",
        "localrc/releases.yaml: inert",
    ),
    rule("devstack-bool", "a boolean that DevStack does not understand", f"{_COMMON}: trueorfalse"),
    rule(
        "devstack-virt-driver",
        "a VIRT_DRIVER that DevStack does not have a file for",
        "openstack/devstack@493835a:lib/nova",
    ),
    rule(
        "devstack-libvirt-type",
        "a LIBVIRT_TYPE that nova does not take",
        "openstack/nova:nova/conf/libvirt.py",
    ),
    rule(
        "devstack-git-base",
        "sources from a server that was switched off",
        "openstack/devstack@mitaka-eol:stackrc",
    ),
    rule("devstack-change", "a change under review without its full ref", f"{_COMMON}: git_clone"),
    rule("devstack-branch-gone", "a branch that was deleted", "localrc/releases.yaml: ref"),
    warning("devstack-branches-mixed", "branches of several releases", f"{_COMMON}: git_clone"),
    warning(
        "devstack-dest",
        "DEST in a home directory",
        "openstack/devstack@493835a:functions: check_path_perm_sanity",
    ),
)
_BOOK = Book(RULES)

_TRUTH = frozenset(
    {
        "1",
        "yes",
        "Yes",
        "YES",
        "true",
        "True",
        "TRUE",
        "0",
        "no",
        "No",
        "NO",
        "false",
        "False",
        "FALSE",
    }
)
# What HEAD or Mitaka hand to trueorfalse, and people set.
_BOOLEANS = frozenset(
    {
        "DATABASE_QUERY_LOGGING",
        "DEBUG_LIBVIRT",
        "DOWNLOAD_DEFAULT_IMAGES",
        "ENABLE_CHASSIS_AS_GW",
        "ENABLE_DEBUG_LOG_LEVEL",
        "ENABLE_KSM",
        "ENABLE_VOLUME_MULTIATTACH",
        "ENFORCE_SCOPE",
        "ERROR_ON_CLONE",
        "GLANCE_ENABLE_MULTIPLE_STORES",
        "GLANCE_USE_IMPORT_WORKFLOW",
        "GLOBAL_VENV",
        "INSTALL_DATABASE_SERVER_PACKAGES",
        "IPV6_ENABLED",
        "LOG_COLOR",
        "MULTI_HOST",
        "MYSQL_REDUCE_MEMORY",
        "NEUTRON_PORT_SECURITY",
        "NOVA_SERIAL_ENABLED",
        "NOVA_SPICE_ENABLED",
        "NOVA_VNC_ENABLED",
        "NOVNC_FROM_PACKAGE",
        "OFFLINE",
        "OVN_BUILD_FROM_SOURCE",
        "OVN_L3_CREATE_PUBLIC_NETWORK",
        "PIP_UPGRADE",
        "RECLONE",
        "RECREATE_KEYSTONE_DB",
        "SYSLOG",
        "USE_SCREEN",
        "USE_SYSTEMD",
        "USE_VENV",
        "VERBOSE",
    }
)
# lib/nova_plugins/hypervisor-* of some release; what a plugin brings is asked of the release's own
# list.
_DRIVERS = frozenset(
    {"libvirt", "fake", "ironic", "openvz", "vsphere", "xenserver", "baremetal", "powervm"}
)
_LIBVIRT = (
    "kvm",
    "qemu",
    "lxc",
    "uml",
    "xen",
    "parallels",
)  # of any nova; it compares them as they are
_CHANGE = re.compile(r"(?:refs/)?(?:changes/)?(?:[0-9]{1,2}/)?([0-9]{4,})(?:/([0-9]+))?/?")
_STABLE = re.compile(r"(?:stable|unmaintained)/([a-z0-9.]+)|([a-z0-9.]+)-(?:eol|eom)")


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    for rule_check in (_inert, _booleans, _driver, _libvirt, _git_base, _changes, _branches, _dest):
        yield from rule_check(rc)


def named_release(rc: Localrc) -> str:
    """Return the release that most branches in the file name; "" if none does."""
    releases_named = Counter(release for _name, _line, release in _named(rc))
    return releases_named.most_common(1)[0][0] if releases_named else ""


def _named(rc: Localrc) -> Iterator[tuple[str, int, str]]:
    """Yield variables and plugins whose branch or tag names a release."""
    known = releases.of(Installer.DEVSTACK)
    for name, line, ref in _refs(rc):
        match = _STABLE.fullmatch(ref)
        if match and (match[1] or match[2]) in known:
            yield name, line, match[1] or match[2]


def _refs(rc: Localrc) -> Iterator[tuple[str, int, str]]:
    for name in rc.settled:
        if name.endswith("_BRANCH") and rc.value(name):
            yield name, rc.line(name), rc.value(name)
    for call in rc.script.calls:
        if call.name == "enable_plugin" and len(call.args) > 2 and not call.args[2].is_dynamic:
            yield f"enable_plugin {call.args[0].text}", call.line, call.args[2].text


def _inert(rc: Localrc) -> Iterator[Finding]:
    release = rc.scope.release
    inert = {name: why for name, why in release.inert.items() if why} if release else {}
    is_half = "contrail" in rc.value(
        "Q_PLUGIN"
    )  # the other half's contrail.sh wants the same secrets
    for name in rc.values:
        if release and name in inert and not (is_half and name == "SERVICE_TOKEN"):
            yield _BOOK.finding(
                "devstack-inert",
                rc.file,
                rc.line(name),
                f"DevStack {release.name} does not read {name}: {inert[name]}",
                "remove the line"
                if rc.scope.lab
                else "remove the line, or say which release the file is for",
            )


def _booleans(rc: Localrc) -> Iterator[Finding]:
    for name, assignment in rc.settled.items():
        value = rc.value(name)
        is_near = (
            bool(difflib.get_close_matches(value.lower(), ("true", "false"), n=1, cutoff=0.7))
            and value.isalpha()
        )
        if (
            not value
            or value in _TRUTH
            or assignment.is_appended
            or not (name in _BOOLEANS or is_near)
        ):
            continue
        meant = "False" if value.lower()[:1] in ("f", "n") or value.lower() == "off" else "True"
        yield _BOOK.finding(
            "devstack-bool",
            rc.file,
            assignment.line,
            f"{value} is not a boolean, so DevStack silently uses its default",
            f"{name}={meant} (yes, true, 1 and no, false, 0 are understood)",
        )


def _driver(rc: Localrc) -> Iterator[Finding]:
    driver = rc.value("VIRT_DRIVER")
    if not driver or driver in _DRIVERS or _is_from_plugin(rc, driver):
        return
    near = difflib.get_close_matches(driver.lower(), _DRIVERS, n=1)
    fix = f"VIRT_DRIVER={near[0] if near else 'libvirt'}"
    if driver in ("kvm", "qemu", "lxc"):
        fix = f"VIRT_DRIVER=libvirt and LIBVIRT_TYPE={driver}"
    yield _BOOK.finding(
        "devstack-virt-driver",
        rc.file,
        rc.line("VIRT_DRIVER"),
        f"nova-compute starts without a driver: stack.sh does not find "
        f"lib/nova_plugins/hypervisor-{driver}, and goes on",
        fix,
    )


def _is_from_plugin(rc: Localrc, driver: str) -> bool:
    """Return True if a plugin of the file, or of the release, may bring the driver's file."""
    plugins = {
        call.args[0].text for call in rc.script.calls if call.name == "enable_plugin" and call.args
    }
    if any(driver in plugin for plugin in plugins):
        return True
    release = rc.scope.release
    is_of_release = release is None or Driver.DOCKER in release.drivers
    return driver == Driver.DOCKER and (is_of_release or "nova-docker" in plugins)


def _libvirt(rc: Localrc) -> Iterator[Finding]:
    value = rc.value("LIBVIRT_TYPE")
    if not value or value in _LIBVIRT or rc.value("VIRT_DRIVER") not in ("", "libvirt"):
        return
    near = difflib.get_close_matches(value.lower(), _LIBVIRT, n=1)
    yield _BOOK.finding(
        "devstack-libvirt-type",
        rc.file,
        rc.line("LIBVIRT_TYPE"),
        f"{value} is not one of {', '.join(_LIBVIRT)}: stack.sh writes it into nova.conf, and "
        f"nova-compute does not start",
        f"LIBVIRT_TYPE={near[0] if near else 'qemu'}",
    )


def _urls(rc: Localrc) -> Iterator[tuple[str, int, str, str]]:
    """Yield what is cloned: a variable or plugin, its line, the URL, what to write instead."""
    for name in rc.settled:
        if name == "GIT_BASE":
            yield name, rc.line(name), rc.value(name), "GIT_BASE=https://opendev.org"
        elif name.endswith("_REPO"):
            yield name, rc.line(name), rc.value(name), f"{name}=https://..."
    for call in rc.script.calls:
        if call.name == "enable_plugin" and len(call.args) > 1:
            name, url = call.args[0].text, call.args[1].text
            path = re.sub(
                r".*openstack\.org[^/]*/(?:p/)?|[a-z]+://[^/]*/", "", url
            )  # without a password before @
            host = "opendev.org" if "openstack.org" in url else "github.com"
            yield (
                f"enable_plugin {name}",
                call.line,
                url,
                f"enable_plugin {name} https://{host}/{path} ...",
            )


def _git_base(rc: Localrc) -> Iterator[Finding]:
    for name, line, url, fix in _urls(rc):
        is_git = url.startswith("git://")
        if is_git or "git.openstack.org" in url:
            what = (
                "opendev.org and GitHub do not serve git:// any more"
                if is_git
                else "git.openstack.org is gone"
            )
            effect = (
                "cloning the plugin fails or hangs"
                if name.startswith("enable_plugin")
                else ("every clone fails or hangs")
            )
            yield _BOOK.finding("devstack-git-base", rc.file, line, f"{what}: {effect}", fix)


def _changes(rc: Localrc) -> Iterator[Finding]:
    """Yield refs of changes that git cannot fetch.

    A ref is refs/changes/, the number's last two digits, the number, the patch set.
    """
    for name, line, ref in _refs(rc):
        change = _CHANGE.fullmatch(ref)
        if change is None or "/" not in ref:
            continue
        number, patch = change[1], change[2]
        right = f"refs/changes/{number[-2:]}/{number}/{patch or 'PATCHSET'}"
        if ref == right:
            continue
        what = (
            f"{ref} does not name a patch set"
            if patch is None
            else f"{ref} is not a change's whole name"
        )
        yield _BOOK.finding(
            "devstack-change",
            rc.file,
            line,
            f"{what}: fetching it fails, and stack.sh stops",
            f"{name} ... {right}" if name.startswith("enable_plugin") else f"{name}={right}",
        )


def _branches(rc: Localrc) -> Iterator[Finding]:
    known = releases.of(Installer.DEVSTACK)
    for name, line, ref in _refs(rc):
        release = known.get(plain_name(ref))
        if release is None or not ref.startswith("stable/") or release.ref.startswith("stable/"):
            continue
        instead = release.ref if release.ref.startswith("unmaintained/") else f"{release.name}-eol"
        yield _BOOK.finding(
            "devstack-branch-gone",
            rc.file,
            line,
            f"{ref} was deleted: cloning it fails",
            f"{name} ... {instead}" if name.startswith("enable_plugin") else f"{name}={instead}",
        )
    named = [
        (name, line, release)
        for name, line, release in _named(rc)
        if not name.startswith("enable_plugin")
    ]
    common = named_release(rc)
    for name, line, release_name in named:
        if release_name != common:
            yield _BOOK.finding(
                "devstack-branches-mixed",
                rc.file,
                line,
                f"{name} is of {release_name}, the others of {common}: one set of requirements "
                f"serves one release",
                f"write {common}'s branch, unless the mix is what you test",
            )


def _dest(rc: Localrc) -> Iterator[Finding]:
    assignment = rc.settled.get("DEST")
    if assignment is None or not re.match(r"/home/|/root\b|~|\$\{?HOME", assignment.value.text):
        return
    yield _BOOK.finding(
        "devstack-dest",
        rc.file,
        assignment.line,
        "stack.sh stops if the home directory is closed to other users (0700), because services "
        "run as such users",
        "DEST=/opt/stack",
    )
