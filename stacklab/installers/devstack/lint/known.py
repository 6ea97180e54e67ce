"""Names that DevStack knows, by release: services and variables; and which plugin brings which.

Variables are in localrc/devstack/variables.yaml, read once.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from stacklab import facts, releases
from stacklab.model.release import Release
from stacklab.model.stack import Installer
from stacklab.paths.project import PROJECT

TABLE = PROJECT / "localrc" / "devstack" / "variables.yaml"

# What is asked for by is_service_enabled and run_process, or stands in stackrc: the first and the
# last release ("" for one that still has them), and the names; established by `git grep` at each
# release's tag.
# The rows are sorted by first release, then by last one.
_SERVICES = (
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
# Plugins by their names -> services that they bring, some of which DevStack itself once had.
_OF_PLUGINS = {
    "aodh": "aodh aodh-api aodh-evaluator aodh-listener aodh-notifier",
    "barbican": "barbican barbican-keystone-listener barbican-retry barbican-svc",
    "blazar": "blazar blazar-a blazar-m",
    "ceilometer": """ceilometer ceilometer-acentral ceilometer-acompute ceilometer-aipmi
        ceilometer-alarm-evaluator ceilometer-alarm-notifier ceilometer-anotification
        ceilometer-api ceilometer-collector""",
    "designate": """designate designate-api designate-central designate-mdns designate-producer
        designate-sink designate-worker""",
    "gnocchi": "gnocchi gnocchi-api gnocchi-metricd gnocchi-statsd",
    "heat": "heat h-api h-api-cfn h-api-cloudwatch h-api-cw h-eng",
    "ironic": "baremetal ir-api ir-cond ir-novnc",
    "magnum": "magnum magnum-api magnum-cond",
    "manila": "m-api m-dat m-sch m-shr manila",
    "mistral": "mistral mistral-api mistral-engine mistral-event-engine mistral-executor",
    "networking-l2gw": "l2gw-agent l2gw-plugin",
    "neutron-dynamic-routing": "q-bgp q-dr q-dr-agent",
    "neutron-fwaas": "q-fwaas q-fwaas-v1 q-fwaas-v2",
    "neutron-lbaas": "q-lbaas q-lbaasv1 q-lbaasv2",
    "neutron-vpnaas": "neutron-vpnaas q-vpn",
    "octavia": "o-api o-cw o-da o-hk o-hm octavia",
    "sahara": "sahara sahara-api sahara-eng",
    "tap-as-a-service": "taas taas_openvswitch_agent",
    "trove": "tr-api tr-cond tr-tmgr trove",
    "watcher": "watcher-api watcher-applier watcher-decision-engine",
    "zaqar": "zaqar-server zaqar-websocket zaqar-wsgi",
    "zun": "zun-api zun-cni-daemon zun-compute zun-wsproxy",
}
# Plugins that bring nothing of what DevStack itself may have, though a word of theirs says so.
_WITHOUT_SERVICES = frozenset({"ovn-octavia-provider"})
# Further ones, as far as they look like DevStack's; several plugins may bring them.
_OTHER_PLUGINS = frozenset({"etcd", "neutron-agt", "neutron-server", "q-sriov-agt"})


def is_in(release: str, first: str, last: str = "") -> bool:
    """Return True if a release is one of FIRST to LAST; "" stands for master."""
    known = _ages()
    age = known.get(release)
    if age is None:
        return True
    return known[last or "master"] <= age <= known[first]


@functools.cache
def _ages() -> Mapping[str, int]:
    """Return each release with the count of those after it.

    The rows begin with the release that is the default; master comes after it.
    """
    names = [name for name in releases.of(Installer.DEVSTACK) if name != "master"]
    return MappingProxyType({name: age for age, name in enumerate(["master", *names])})


def services(release: Release | None) -> frozenset[str]:
    """Return the services that a release knows; of all releases if none is given."""
    if release is None or release.name not in _ages():
        return every_service()
    names = _services_in_row(release)
    for first, last, era_names in _SERVICES:
        if is_in(release.name, first, last):
            names.update(era_names.split())
    # A replaced name has a rule of its own.
    return frozenset(names - release.replaced.keys())


def is_before(release: str, other: str) -> bool:
    """Return True if a release is older than another one."""
    return _ages()[release] > _ages()[other]


def is_surely_before(release: Release | None, other: str) -> bool:
    """Return True if a file's release is known, and older than another one."""
    return release is not None and is_before(release.name, other)


def is_started(release: Release, service: str) -> bool:
    """Return True if a release starts a service, even one that another does the work of."""
    first, last = service_eras().get(service, ("", ""))
    return bool(first) and is_in(release.name, first, last)


def _services_in_row(release: Release) -> set[str]:
    """Return the services that a release's row names as current."""
    names = set(release.replaced.values())
    for listed in release.services.values():
        names.update(listed)
    return names


@functools.cache
def every_service() -> frozenset[str]:
    """Return every name that any release or plugin has."""
    names = {*_OTHER_PLUGINS, *plugin_of_service()}
    for _first, _last, era_names in _SERVICES:
        names.update(era_names.split())
    for release in releases.of(Installer.DEVSTACK).values():
        names |= _services_in_row(release) | release.replaced.keys()
    return frozenset(names)


@functools.cache
def service_eras() -> Mapping[str, tuple[str, str]]:
    """Return services that came or went -> the first and the last release ("": has it still)."""
    eras: dict[str, tuple[str, str]] = {}
    for first, last, names in _SERVICES:
        eras.update(dict.fromkeys(names.split(), (first, last)))
    return MappingProxyType({name: era for name, era in eras.items() if era != ("havana", "")})


@functools.cache
def plugin_of_service() -> Mapping[str, str]:
    """Return services that plugins bring -> the plugin."""
    plugins: dict[str, str] = {}
    for plugin, names in _OF_PLUGINS.items():
        plugins.update(dict.fromkeys(names.split(), plugin))
    return MappingProxyType(plugins)


def services_of_plugins(plugins: frozenset[str]) -> frozenset[str]:
    """Return the services that plugins bring, as far as they are known."""
    names = {name for name, plugin in plugin_of_service().items() if plugin in plugins}
    return frozenset(names)


@functools.cache
def variable_eras(path: Path = TABLE) -> Mapping[str, tuple[str, str]]:
    """Return variables that came or went -> the first and the last release ("": reads it still)."""
    table = facts.read(path)
    eras: dict[str, tuple[str, str]] = {}
    for span, names in table["gone"].items():
        first, _, last = span.partition("..")
        eras.update(dict.fromkeys(names.split(), (first, last)))
    for first, names in table["since"].items():
        eras.update(dict.fromkeys(names.split(), (str(first), "")))
    return MappingProxyType(eras)


@functools.cache
def default_services(release: str, path: Path = TABLE) -> str:
    """Return the list that a release's stackrc begins with, as its text; "" for none."""
    for span, text in facts.read(path)["default_services"].items():
        first, _, last = str(span).partition("..")
        if release in _ages() and is_in(release, first, last or first):
            return str(text).replace(" ", "")
    return ""


@functools.cache
def every_variable(path: Path = TABLE) -> frozenset[str]:
    """Return the variables that any release takes from a localrc."""
    return frozenset(facts.read(path)["always"].split()) | variable_eras().keys()


def may_be_of_plugin(name: str, plugins: frozenset[str]) -> bool:
    """Return True if a plugin that the file enables may know a name: its settings are not read.

    By the words in both: HEAT_BRANCH and h-eng of heat, OVN_BRANCH of networking-ovn.
    """
    if plugin_of_service().get(name, "") in {plugin.replace("_", "-") for plugin in plugins}:
        return True
    words = set(re.split(r"[_-]", name.lower()))
    words = {"neutron" if word == "q" else word for word in words}
    for plugin in plugins - _WITHOUT_SERVICES:
        plugin_words = set(re.split(r"[_-]", plugin.lower()))
        if "networking" in plugin_words:
            plugin_words.add("neutron")
        if words & plugin_words:
            return True
    return False
