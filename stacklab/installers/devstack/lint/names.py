"""Rules for names that are nearly DevStack's: unknown services and variables."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from stacklab import releases
from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.lint.book import Book, rule
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
)
_BOOK = Book(RULES)

# What is asked for by is_service_enabled and run_process, or stands in stackrc: the first and the
# last release, and
# the names; established by `git grep` at each release's tag.
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
_ALIKE = 0.85  # n-cpuu and n-cpu are; m-api of Manila's plugin and n-api are not

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
_OTHERS = frozenset({"IPV6_ADDRS_SAFE_TO_USE"})
_SAME = 0.92


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    yield from _services(rc)
    yield from _variables(rc)


def services(release: Release | None) -> frozenset[str]:
    """Return the services that a release knows; of all releases if none is given."""
    known = list(releases.of(Installer.DEVSTACK))  # the newest first
    if release is None or release.name not in known:
        return _every()
    at = known.index(release.name)
    service_names = {name for words in release.services.values() for name in words} | {
        *release.replaced.values()
    }
    for since, until, names in _ERAS:
        if at <= known.index(since) and (not until or known.index(until) <= at):
            service_names.update(names.split())
    return frozenset(service_names - release.replaced.keys())


@functools.cache
def _every() -> frozenset[str]:
    """Return every name that any release or plugin has."""
    rows: Mapping[str, Release] = releases.of(Installer.DEVSTACK)
    variables = {name for _since, _until, names in _ERAS for name in names.split()} | _PLUGINS
    for row in rows.values():
        variables |= {
            *row.replaced,
            *row.replaced.values(),
            *(name for words in row.services.values() for name in words),
        }
    return frozenset(variables)


def _services(rc: Localrc) -> Iterator[Finding]:
    known = services(rc.scope.release)
    nearest = Near(known, cutoff=_ALIKE)
    plain = MappingProxyType({_plain(name): name for name in sorted(known)})
    for name, line, is_wanted in (
        *((name, line, True) for name, line in rc.services.enabled.items()),
        *((name, line, False) for name, line in rc.services.disabled.items()),
    ):
        if name in _every() or not _SERVICE.fullmatch(name):
            continue
        if near := plain.get(_plain(name)) or nearest(name.lower()):
            effect = (
                "nothing is started for it"
                if is_wanted
                else f"nothing is disabled: {near} stays as it is"
            )
            yield _BOOK.finding(
                "devstack-service-name",
                rc.file,
                line,
                f"DevStack does not know a service {name}: {effect}",
                f"write {near} instead of {name}",
            )


def _plain(name: str) -> str:
    """Return a name without case, separators and order of letters.

    n_cpu and n-cup then equal n-cpu.
    """
    letters = re.sub(r"[_-]", "", name.lower())
    return "".join(sorted(letters))


def _variables(rc: Localrc) -> Iterator[Finding]:
    used = {name for assignment in rc.script.assignments for name in assignment.value.names}
    used |= {name for call in rc.script.calls for arg in call.args for name in arg.names}
    nearest = Near(_VARIABLES, cutoff=_SAME)
    for name, assignment in rc.settled.items():
        if name in _VARIABLES | _OTHERS | used or (near := nearest(name)) == "":
            continue
        switch = name.partition("_")[0].lower()
        fix = f"{switch}_service NAME NAME" if switch in ("enable", "disable") else f"{near}=..."
        yield _BOOK.finding(
            "devstack-name",
            rc.file,
            assignment.line,
            f"DevStack does not read {name}, and the line does nothing",
            fix,
        )
