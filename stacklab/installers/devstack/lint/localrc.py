"""A localrc as it acts: what its variables hold in the end, and which services it enables."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from types import MappingProxyType

from stacklab.lint import shell
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
    {"DEST": "/opt/stack", "DATA_DIR": "/opt/stack/data", "SERVICE_DIR": "/opt/stack/status"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The services that a file enables and disables.

    `is_whole` says that the file sets ENABLED_SERVICES; otherwise only changes are known.
    """

    enabled: Mapping[str, int]  # service -> line
    disabled: Mapping[str, int]
    is_whole: bool

    def has(self, *names: str) -> bool:
        """Return True if this file enables one of them."""
        return any(name in self.enabled for name in names)

    def find(self, *names: str) -> Iterator[tuple[str, int]]:
        """Yield those of the names that this file enables, each with its line."""
        for name in names:
            if name in self.enabled:
                yield name, self.enabled[name]

    def lacks(self, *names: str) -> bool:
        """Return True if certainly none of them is enabled."""
        if self.has(*names):
            return False
        # DevStack's default list, which an incomplete one adds to, may have any of them.
        return self.is_whole or all(name in self.disabled for name in names)

    def line(self, *names: str) -> int:
        """Return the line that enables the first of them that is enabled."""
        _name, line = next(self.find(*names), ("", 0))
        return line


@dataclass(frozen=True, kw_only=True)
class Localrc:
    """One localrc, or the localrc section of a local.conf with its lines where they were."""

    source: Source
    scope: Scope
    script: shell.Script

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
        return values

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
        return _find_services(self.script, is_final=self.disable_is_final)

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


def load(source: Source, scope: Scope) -> Localrc:
    """Read a localrc."""
    return Localrc(source=source, scope=scope, script=shell.read(source.text))


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


def _find_services(script: shell.Script, *, is_final: bool) -> Services:
    """Return the services that the statements of a localrc leave enabled and disabled.

    Statements under a condition are passed over: whether they run is not known here.
    """
    changes = _ServiceChanges(is_final=is_final)
    for statement in script.statements:
        if statement.conditional:
            continue
        if isinstance(statement, shell.Call):
            changes.apply_call(statement)
        elif statement.name == "ENABLED_SERVICES":
            changes.apply_assignment(statement)
    return changes.final_services()


@dataclass(slots=True, kw_only=True)
class _ServiceChanges:
    """ENABLED_SERVICES while a localrc is read; each name comes with the line that gave it."""

    is_final: bool  # disable_service wins over any later enable_service
    enabled: dict[str, int] = field(default_factory=dict)
    disabled: dict[str, int] = field(default_factory=dict)
    is_whole: bool = False  # the list does not go on from DevStack's default

    def apply_assignment(self, assignment: shell.Assignment) -> None:
        """Take `ENABLED_SERVICES=` or `+=`; `=$ENABLED_SERVICES,...` appends, too."""
        is_addition = assignment.is_appended or "ENABLED_SERVICES" in assignment.value.names
        if not is_addition:
            self._empty_list()
        for name in _split_list(assignment.value.text):
            self.enabled[name] = assignment.line

    def apply_call(self, call: shell.Call) -> None:
        """Take a call of one of DevStack's functions that change the list."""
        if call.name == "disable_all_services":
            self._empty_list()
        elif call.name == "enable_service":
            for argument in call.args:
                self._enable_listed(argument)
        elif call.name == "disable_service":
            # Unlike enable_service, it does not split its arguments at commas.
            for argument in call.args:
                self.disabled[argument.text] = argument.line
                self.enabled.pop(argument.text, None)

    def final_services(self) -> Services:
        """Return the final list: a `-name` in it takes out `name`, wherever that stands."""
        negated: dict[str, int] = {}
        for name, line in self.enabled.items():
            if name.startswith("-"):
                negated[name.removeprefix("-")] = line
        remaining: dict[str, int] = {}
        for name, line in self.enabled.items():
            if not name.startswith("-") and name not in negated:
                remaining[name] = line
        return Services(
            enabled=remaining,
            disabled={**self.disabled, **negated},
            is_whole=self.is_whole,
        )

    def _empty_list(self) -> None:
        self.enabled.clear()
        self.is_whole = True

    def _enable_listed(self, argument: shell.Word) -> None:
        for name in _split_list(argument.text):
            # A final disable_service wins, though it stands above.
            if not (self.is_final and name in self.disabled):
                self.enabled[name] = argument.line


def _split_list(text: str) -> Iterator[str]:
    """Yield the names of a comma-separated list.

    DevStack splits it without bash, so blanks do not separate.
    """
    for name in text.split(","):
        # $ENABLED_SERVICES and other references are not names of services.
        if name and "$" not in name:
            yield name
