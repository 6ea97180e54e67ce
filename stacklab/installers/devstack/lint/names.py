"""Rules for names that DevStack does not know: nearly its services and variables, or inert."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping

from stacklab import releases
from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.lint.near import Near
from stacklab.model.release import Release
from stacklab.model.stack import Installer

RULES = (
    rule(
        "devstack-service-name",
        "a service that is nearly one of DevStack's",
        "openstack/devstack@493835a:functions-common: is_service_enabled",
    ),
    rule(
        "devstack-name",
        "a variable that is nearly one of DevStack's",
        "openstack/devstack@493835a:stackrc",
    ),
    warning(
        "devstack-inert",
        "a variable that the release does not read",
        "localrc/releases.yaml: inert",
    ),
)
_BOOK = Book(RULES)

# What is asked for by is_service_enabled and run_process, or stands in stackrc: the first and the
# last release ("" for one that still has them), and the names; established by `git grep` at each
# release's tag.
# The rows are sorted by first release, then by last one.
_ERAS = (
    (
        "havana",
        "",
        """c-api c-bak c-sch c-vol cinder g-api glance horizon key ldap mysql n-api n-api-meta
        n-cond n-cpu n-novnc n-sch n-spice neutron nova postgresql q-agt q-dhcp q-l3 q-meta
        q-svc rabbit s-account s-container s-object s-proxy swift tempest tls-proxy""",
    ),
    ("havana", "juno", "baremetal ryu"),
    (
        "havana",
        "kilo",
        """ceilometer-acentral ceilometer-acompute ceilometer-alarm-evaluator
        ceilometer-alarm-notifier ceilometer-api ceilometer-collector qpid tr-api tr-cond
        tr-tmgr trove zeromq""",
    ),
    ("havana", "liberty", "ir-api ir-cond n-obj q-vpn"),
    ("havana", "mitaka", "q-fwaas q-lbaas"),
    ("havana", "newton", "h-api h-api-cfn h-api-cw h-eng"),
    ("havana", "ocata", "heat n-crt q-domua"),
    ("havana", "stein", "n-cauth n-cell n-cell-child n-cell-region n-net swift3"),
    ("havana", "ussuri", "g-reg"),
    ("havana", "victoria", "n-xvnc"),
    (
        "icehouse",
        "kilo",
        "ceilometer-anotification gantt odl-compute odl-server sahara zaqar-server",
    ),
    ("icehouse", "", "dstat q-metering"),
    ("juno", "mitaka", "ceph"),
    ("liberty", "ussuri", "g-search peakmem_tracker"),
    ("liberty", "", "keystone n-sproxy"),
    ("mitaka", "ocata", "g-glare"),
    (
        "newton",
        "",
        """neutron-agent neutron-api neutron-dhcp neutron-l3 neutron-metadata-agent
        neutron-metering placement""",
    ),
    ("ocata", "", "placement-api placement-client"),
    ("pike", "", "etcd3 memory_tracker n-cond-cell n-super-cond"),
    ("rocky", "", "n-novnc-cell n-spice-cell n-sproxy-cell neutron-rpc-server s-container-sync"),
    ("train", "", "s3api tcpdump"),
    (
        "victoria",
        "",
        """neutron-dns neutron-qos ovn-controller ovn-controller-vtep ovn-northd ovs-vswitchd
        ovs-vtep ovsdb-server q-dns q-ovn-metadata-agent q-qos""",
    ),
    ("wallaby", "", "g-api-r neutron-log q-log"),
    ("yoga", "", "neutron-placement neutron-trunk q-placement q-trunk"),
    ("2023.1", "", "file_tracker"),
    ("2023.2", "", "neutron-segments"),
    ("2024.1", "", "neutron-ovn-agent neutron-ovn-metadata-agent q-ovn-agent"),
    ("2024.2", "", "neutron-ovn-maintenance-worker neutron-periodic-workers openstack-cli-server"),
    ("2025.1", "", "atop"),
)
# Plugins' own, as far as they look like DevStack's.
_PLUGINS = frozenset(
    {
        "etcd",
        "h-api-cloudwatch",
        "m-api",
        "m-dat",
        "m-sch",
        "m-shr",
        "neutron-agt",
        "neutron-server",
        "neutron-vpnaas",
        "o-api",
        "o-cw",
        "o-da",
        "o-hk",
        "o-hm",
        "q-bgp",
        "q-dr",
        "q-dr-agent",
        "q-fwaas-v1",
        "q-fwaas-v2",
        "q-lbaasv1",
        "q-lbaasv2",
        "q-sriov-agt",
        "zun-api",
        "zun-cni-daemon",
        "zun-compute",
        "zun-wsproxy",
    }
)
_SERVICE = re.compile(r"[A-Za-z0-9_-]+")
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


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    yield from _find_unknown_services(rc)
    yield from _find_unknown_variables(rc)
    if rc.scope.release is not None:
        yield from _find_inert_names(rc, rc.scope.release)


def services(release: Release | None) -> frozenset[str]:
    """Return the services that a release knows; of all releases if none is given."""
    known = list(releases.of(Installer.DEVSTACK))  # the newest first
    if release is None or release.name not in known:
        return _find_every_service()
    age = known.index(release.name)
    names = _services_in_row(release)
    for first, last, era_names in _ERAS:
        is_begun = age <= known.index(first)
        is_over = last != "" and age < known.index(last)
        if is_begun and not is_over:
            names.update(era_names.split())
    # A replaced name has a rule of its own.
    return frozenset(names - release.replaced.keys())


def _services_in_row(release: Release) -> set[str]:
    """Return the services that a release's row names as current."""
    names = set(release.replaced.values())
    for listed in release.services.values():
        names.update(listed)
    return names


@functools.cache
def _find_every_service() -> frozenset[str]:
    """Return every name that any release or plugin has."""
    names = set(_PLUGINS)
    for _first, _last, era_names in _ERAS:
        names.update(era_names.split())
    for release in releases.of(Installer.DEVSTACK).values():
        names |= _services_in_row(release) | release.replaced.keys()
    return frozenset(names)


def _find_unknown_services(rc: Localrc) -> Iterator[Finding]:
    """Yield services that no release has, if they are near to one that this release has."""
    known = services(rc.scope.release)
    nearest = Near(known, cutoff=_NEAR_SERVICE)
    sorted_letters = {_sort_letters(name): name for name in sorted(known)}

    def guess(name: str) -> str:
        # Swapped letters are the more frequent mistake, and cheaper to find.
        return sorted_letters.get(_sort_letters(name)) or nearest(name.lower())

    for name, line in _find_unknown(rc.services.enabled):
        near = guess(name)
        if near:
            yield _describe_service(rc, name, line, near, "nothing is started for it")
    for name, line in _find_unknown(rc.services.disabled):
        near = guess(name)
        effect = f"nothing is disabled: {near} stays as it is"
        if near:
            yield _describe_service(rc, name, line, near, effect)


def _find_unknown(lines: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Yield services that no release has, with their lines; what is not a name has other rules."""
    for name, line in lines.items():
        if name not in _find_every_service() and _SERVICE.fullmatch(name):
            yield name, line


def _describe_service(rc: Localrc, name: str, line: int, near: str, effect: str) -> Finding:
    return _BOOK.finding(
        "devstack-service-name",
        rc.file,
        line,
        effect=f"DevStack does not know a service {name}: {effect}",
        fix=f"write {near} instead of {name}",
    )


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


def _find_used_names(rc: Localrc) -> set[str]:
    """Return the variables that the file refers to: people have names of their own."""
    used: set[str] = set()
    for assignment in rc.script.assignments:
        used.update(assignment.value.names)
    for call in rc.script.calls:
        for argument in call.args:
            used.update(argument.names)
    return used


def _find_inert_names(rc: Localrc, release: Release) -> Iterator[Finding]:
    """Yield variables that the release does not read."""
    is_half = "contrail" in rc.value("Q_PLUGIN")
    fix = "remove the line"
    if rc.scope.lab is None:
        fix = "remove the line, or say which release the file is for"
    for name in rc.values:
        reason = release.inert.get(name)
        # The other half's contrail.sh wants the same secrets.
        if not reason or (is_half and name == "SERVICE_TOKEN"):
            continue
        yield _BOOK.finding(
            "devstack-inert",
            rc.file,
            rc.line(name),
            effect=f"DevStack {release.name} does not read {name}: {reason}",
            fix=fix,
        )
