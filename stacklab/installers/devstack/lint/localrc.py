"""A localrc as it acts: what its variables hold in the end, and which services it enables."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from types import MappingProxyType

from stacklab.installers.devstack.lint import known
from stacklab.installers.devstack.lint.service_list import Services, find_services
from stacklab.lint.readers import shell
from stacklab.lint.scope import Scope, Source
from stacklab.model.stack import NetworkingMode

# DevStack's functions that a localrc may call: stackrc reads the file after functions-common.
SWITCHES = frozenset(
    {"enable_service", "disable_service", "enable_plugin", "disable_all_services", "enable_libvirt"}
)
# A compute finds the controller's servers by these.
_SERVER_HOSTS = ("DATABASE_HOST", "MYSQL_HOST", "RABBIT_HOST", "Q_HOST", "GLANCE_HOSTPORT")
# DevStack's guides start none of these on a compute.
_CONTROLLER_SERVICES = ("key", "keystone", "mysql", "postgresql", "n-sch", "q-svc")
# $NAME, ${NAME}, ${NAME-default} and ${NAME:-default}. A default with a reference of its own is
# left to bash.
_REFERENCE = re.compile(
    r"\$(?:"
    r"(?P<bare>[A-Za-z_][A-Za-z0-9_]*)"
    r"|\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)(?::?-(?P<default>[^${}]*))?\}"
    r")"
)
# stackrc has these before it reads localrc.
PRESET = MappingProxyType(
    {
        "DEST": "/opt/stack",
        "DATA_DIR": "/opt/stack/data",
        "SERVICE_DIR": "/opt/stack/status",
        "REGION_NAME": "RegionOne",
        "KEYSTONE_REGION_NAME": "RegionOne",
    }
)
# stack.sh, functions or the login have these then, and only they know the value:
# openstack/devstack@493835a:stack.sh, stackrc and functions-common, above `source $RC_DIR/localrc`.
ENVIRONMENT = frozenset(
    {
        "BASE_SQL_CONN",
        "BASH_SOURCE",
        "DEVSTACK_DIR",
        "DEVSTACK_START_TIME",
        "ENABLED_SERVICES",
        "EUID",
        "FILES",
        "FUNC_DIR",
        "GITBRANCH",
        "GITDIR",
        "GITREPO",
        "HOME",
        "HOSTNAME",
        "HOST_IP_IFACE",
        "LANG",
        "LC_ALL",
        "LOGNAME",
        "NOUNSET",
        "NOVA_ENABLED_APIS",
        "PATH",
        "PPID",
        "PWD",
        "RANDOM",
        "RC_DIR",
        "SECONDS",
        "SHELL",
        "STACK_USER",
        "SUBUNIT_OUTPUT",
        "TARGET_BRANCH",
        "TERM",
        "TOP_DIR",
        "TRAILING_TARGET_BRANCH",
        "BRANCHLESS_TARGET_BRANCH",
        "UID",
        "USER",
        "XTRACE",
    }
)


@dataclass(frozen=True, kw_only=True)
class Localrc:
    """One localrc, or the localrc section of a local.conf with its lines where they were."""

    source: Source
    scope: Scope
    script: shell.Script
    # Options that post-config sections of the same file set, as neutron and nova name them.
    overridden: frozenset[str] = frozenset()

    @property
    def file(self) -> str:
        """Return what messages call it."""
        return self.source.name

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the file's lines."""
        return self.source.lines

    @cached_property
    def settled(self) -> Mapping[str, shell.Assignment]:
        """Return the last assignment of each name; conditional ones are left out."""
        return {
            assignment.name: assignment
            for assignment in self.script.assignments
            if not assignment.conditional and not assignment.is_element
        }

    @cached_property
    def uncertain(self) -> frozenset[str]:
        """Return names that a condition may set, or change."""
        return frozenset(
            assignment.name for assignment in self.script.assignments if assignment.conditional
        )

    @cached_property
    def values(self) -> Mapping[str, str | None]:
        """Return what each name holds at the end; None if one must run the file to know."""
        values: dict[str, str | None] = {}
        for assignment in self.script.assignments:
            if not assignment.is_element:
                values[assignment.name] = _value_after(assignment, values)
        for name in self.broken:
            values.setdefault(name, None)
        return values

    @cached_property
    def broken(self) -> Mapping[str, int]:
        """Return names that somebody meant to set, and that bash leaves unset, with their lines.

        They are told where they stand; that they are missing would be the same once more.
        """
        lines: dict[str, int] = {}
        for call in self.script.calls:
            names = call.prefix
            if call.args and call.args[0].raw.startswith(("=", "+=")):
                names = (*names, call.name)
            elif call.args and call.name == "set":
                names = (*names, call.args[0].raw.partition("=")[0])
            lines.update(dict.fromkeys(names, call.line))
        return lines

    def value(self, name: str) -> str:
        """Return what it holds at the end; "" if it is not set or cannot be told."""
        return self.values.get(name) or ""

    def is_set(self, name: str) -> bool:
        """Return True if the file sets it, perhaps under a condition."""
        return name in self.values

    def is_any_set(self, *names: str) -> bool:
        """Return True if the file sets one of them, perhaps under a condition."""
        return any(name in self.values for name in names)

    def calls_of(self, function: str) -> Iterator[shell.Call]:
        """Yield the calls of one of DevStack's functions, those under a condition as well."""
        for call in self.script.calls:
            if call.name == function:
                yield call

    @cached_property
    def plugins(self) -> frozenset[str]:
        """Return the plugins that the file enables, perhaps under a condition."""
        calls = self.calls_of("enable_plugin")
        return frozenset(call.args[0].text for call in calls if call.args)

    def line(self, name: str) -> int:
        """Return the line of its last value; 0 if it is not set."""
        return self.settled[name].line if name in self.settled else 0

    def address(self, name: str) -> IPv4Address | None:
        """Return its value if that is an IPv4 address."""
        try:
            return IPv4Address(self.value(name))
        except ValueError:
            return None

    def network(self, name: str) -> IPv4Network | None:
        """Return its value if that is a range."""
        value = self.value(name)
        # IPv4Network takes a single address for a range of one; DevStack's ranges have a length.
        if "/" not in value:
            return None
        try:
            return IPv4Network(value, strict=False)
        except ValueError:
            return None

    @cached_property
    def services(self) -> Services:
        """Return ENABLED_SERVICES after the whole file, as DevStack's functions change it."""
        return find_services(
            self.script, is_final=self.disable_is_final, defaults=self.default_services
        )

    @property
    def default_services(self) -> str:
        """Return the list that stackrc begins with, as its text; "" where it is not known."""
        release = self.scope.release
        return known.default_services(release.name) if release else ""

    @property
    def disable_is_final(self) -> bool:
        """Return True if enable_service has no effect after disable_service."""
        release = self.scope.release
        return release is None or bool(release.text("disable_is_final"))

    @cached_property
    def is_compute(self) -> bool:
        """Return True for a compute: the lab says so, or its servers are elsewhere."""
        if self.scope.is_controller is not None:
            return not self.scope.is_controller
        host, service_host = self.value("HOST_IP"), self.value("SERVICE_HOST")
        if host and host == service_host:
            return False
        # A controller whose APIs are on a network of their own differs, too, but asks no other node
        # for its servers.
        if host and service_host and self._asks_other_node(host):
            return True
        return self._runs_instances_only()

    def _asks_other_node(self, host: str) -> bool:
        """Return True if a server of the cloud is on another node than this one, `host`."""
        return any(self.value(name) not in ("", host) for name in _SERVER_HOSTS)

    def _runs_instances_only(self) -> bool:
        """Return True if the list of services is complete, and is a compute's."""
        if not self.services.is_whole or self.services.has(*_CONTROLLER_SERVICES):
            return False
        return self.services.has("n-cpu", "zun-compute")

    @cached_property
    def is_ovn(self) -> bool | None:
        """Return True if neutron's backend is OVN; None if neither file nor release tells."""
        # The agent counts before the mechanism drivers, of which there may be several.
        for name in ("Q_AGENT", "NEUTRON_AGENT", "Q_ML2_PLUGIN_MECHANISM_DRIVERS"):
            value = self.value(name)
            if value:
                return "ovn" in value.split(",")
        if self.value("Q_PLUGIN") not in ("", "ml2"):
            return False
        if self.services.has("ovn-controller", "ovn-northd"):
            return True
        release = self.scope.release
        if release is None:
            return None
        return release.network_modes[0] == "ovn"  # the first one is the release's default

    @property
    def may_use_nova_network(self) -> bool:
        """Return True if the release has nova-network, or is not known."""
        release = self.scope.release
        if release is None:
            return True
        return any(NetworkingMode(word).is_nova_network for word in release.network_modes)


def names_services(text: str) -> bool:
    """Return True if a text enables services or names neutron's plugin, as DevStack does."""
    return "enable_service" in text or "Q_PLUGIN" in text or "n-cpu" in text


def load(source: Source, scope: Scope, overridden: frozenset[str] = frozenset()) -> Localrc:
    """Read a localrc."""
    script = shell.read(source.text)
    return Localrc(source=source, scope=scope, script=script, overridden=overridden)


def expand(word: shell.Word, values: Mapping[str, str | None]) -> str | None:
    """Return a word's value; None if only bash could tell it."""
    if not word.is_dynamic:
        return word.text

    def replace(reference: re.Match[str]) -> str:
        value = values.get(_referred_name(reference))
        return value or reference["default"] or ""

    for reference in _REFERENCE.finditer(word.text):
        value = values.get(_referred_name(reference))
        if value is None and reference["default"] is None:
            return None
    text = _REFERENCE.sub(replace, word.text)
    # What is left is more than a reference, such as $(command), ${NAME%suffix} or $$.
    return None if "$" in text or "`" in text else text


def _referred_name(reference: re.Match[str]) -> str:
    """Return the NAME of $NAME or of ${NAME}."""
    name: str = reference["bare"] or reference["braced"]
    return name


def _value_after(assignment: shell.Assignment, values: dict[str, str | None]) -> str | None:
    """Return what a variable holds after an assignment, by the values before it."""
    if assignment.conditional:
        return None
    preset: dict[str, str | None] = dict(PRESET)
    value = expand(assignment.value, ChainMap(values, preset))
    if not assignment.is_appended:
        return value
    before = values.get(assignment.name, "")
    if value is None or before is None:
        return None
    return before + value
