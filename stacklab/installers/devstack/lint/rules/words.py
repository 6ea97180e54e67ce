"""Rules for words that DevStack compares with a list of its own: booleans, drivers."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator

from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding
from stacklab.model.stack import Driver

_COMMON = "openstack/devstack@493835a:functions-common"
RULES = (
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
)
_BOOK = Book(RULES)

# All that trueorfalse knows; it does not know on and off, and compares letter by letter.
_TRUE_WORDS = frozenset({"1", "yes", "Yes", "YES", "true", "True", "TRUE"})
_FALSE_WORDS = frozenset({"0", "no", "No", "NO", "false", "False", "FALSE"})
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
# Those of any nova, which compares them as they are.
_LIBVIRT_TYPES = ("kvm", "qemu", "lxc", "uml", "xen", "parallels")


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    yield from _find_bad_booleans(rc)
    yield from _check_driver(rc)
    yield from _check_libvirt_type(rc)


def _find_bad_booleans(rc: Localrc) -> Iterator[Finding]:
    """Yield values that were meant as true or false, but that trueorfalse does not know."""
    for name, assignment in rc.settled.items():
        value = rc.value(name)
        if not value or value in _TRUE_WORDS | _FALSE_WORDS or assignment.is_appended:
            continue
        if not value.isascii():
            continue  # a character that nobody sees, which is told as that
        # Any variable may be a plugin's boolean, if its value is a misspelt true or false.
        if name not in _BOOLEANS and not _is_near_boolean(value):
            continue
        word = value.lower()
        is_false = word == "off" or word[0] in ("f", "n")
        yield _BOOK.finding(
            "devstack-bool",
            rc.file,
            assignment.line,
            effect=f"{value} is not a boolean, so DevStack silently uses its default",
            fix=f"{name}={not is_false} (yes, true, 1 and no, false, 0 are understood)",
        )


def _is_near_boolean(value: str) -> bool:
    if not value.isalpha():
        return False
    return _nearest(value, ("true", "false"), cutoff=0.7) != ""


def _nearest(value: str, known: Collection[str], *, cutoff: float = 0.6) -> str:
    """Return the known word that was probably meant; "" if none is near."""
    near = difflib.get_close_matches(value.lower(), known, n=1, cutoff=cutoff)
    return near[0] if near else ""


def _check_driver(rc: Localrc) -> Iterator[Finding]:
    """Yield a VIRT_DRIVER that neither DevStack nor a plugin has."""
    driver = rc.value("VIRT_DRIVER")
    if not driver or driver in _DRIVERS or _is_from_plugin(rc, driver):
        return
    # nova.conf's own section says what DevStack's file would have said.
    if "compute_driver" in rc.overridden:
        return
    fix = f"VIRT_DRIVER={_nearest(driver, _DRIVERS) or 'libvirt'}"
    # These are libvirt's own types, which have a variable of their own.
    if driver in ("kvm", "qemu", "lxc"):
        fix = f"VIRT_DRIVER=libvirt and LIBVIRT_TYPE={driver}"
    yield _BOOK.finding(
        "devstack-virt-driver",
        rc.file,
        rc.line("VIRT_DRIVER"),
        effect="nova-compute starts without a driver: stack.sh does not find "
        f"lib/nova_plugins/hypervisor-{driver}, and goes on",
        fix=fix,
    )


def _is_from_plugin(rc: Localrc, driver: str) -> bool:
    """Return True if a plugin of the file, or of the release, may bring the driver's file."""
    plugins = {call.args[0].text for call in rc.calls_of("enable_plugin") if call.args}
    if any(driver in plugin for plugin in plugins):
        return True
    release = rc.scope.release
    # nova-docker's file is copied by hand where DevStack does not have plugins.
    is_of_release = release is None or Driver.DOCKER in release.drivers
    return driver == Driver.DOCKER and is_of_release


def _check_libvirt_type(rc: Localrc) -> Iterator[Finding]:
    """Yield a LIBVIRT_TYPE that nova does not take."""
    libvirt_type = rc.value("LIBVIRT_TYPE")
    # Other drivers do not read it.
    if not libvirt_type or rc.value("VIRT_DRIVER") not in ("", "libvirt"):
        return
    if libvirt_type in _LIBVIRT_TYPES:
        return
    yield _BOOK.finding(
        "devstack-libvirt-type",
        rc.file,
        rc.line("LIBVIRT_TYPE"),
        effect=f"{libvirt_type} is not one of {', '.join(_LIBVIRT_TYPES)}: stack.sh writes it "
        "into nova.conf, and nova-compute does not start",
        fix=f"LIBVIRT_TYPE={_nearest(libvirt_type, _LIBVIRT_TYPES) or 'qemu'}",
    )
