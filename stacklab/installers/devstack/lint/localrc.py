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

SWITCHES = frozenset(
    {"enable_service", "disable_service", "enable_plugin", "disable_all_services", "enable_libvirt"}
)
_SERVERS = ("DATABASE_HOST", "MYSQL_HOST", "RABBIT_HOST", "Q_HOST", "GLANCE_HOSTPORT")
_REFERENCE = re.compile(
    r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?::?-([^${}]*))?\})"
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

    def lacks(self, *names: str) -> bool:
        """Return True if certainly none of them is enabled."""
        return not self.has(*names) and (
            self.is_whole or all(name in self.disabled for name in names)
        )

    def line(self, *names: str) -> int:
        """Return the line that enables the first of them that is enabled."""
        return next((self.enabled[name] for name in names if name in self.enabled), 0)


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
        preset: dict[str, str | None] = dict(PRESET)
        for assignment in self.script.assignments:
            if assignment.is_element:
                continue
            value = (
                None
                if assignment.conditional
                else expand(assignment.value, ChainMap(values, preset))
            )
            before = values.get(assignment.name, "")
            if assignment.is_appended:
                value = None if value is None or before is None else before + value
            values[assignment.name] = value
        return values

    def value(self, name: str) -> str:
        """Return what it holds at the end; "" if it is not set or cannot be told."""
        return self.values.get(name) or ""

    def is_set(self, name: str) -> bool:
        """Return True if the file sets it, perhaps under a condition."""
        return name in self.values

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
        try:
            return IPv4Network(self.value(name), strict=False) if "/" in self.value(name) else None
        except ValueError:
            return None

    @cached_property
    def services(self) -> Services:
        """Return ENABLED_SERVICES after the whole file, as DevStack's functions change it."""
        return _services(self.script, is_final=self.disable_is_final)

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
        if host and service_host and any(self.value(name) not in ("", host) for name in _SERVERS):
            return True
        controller_services = ("key", "keystone", "mysql", "postgresql", "n-sch", "q-svc")
        return (
            self.services.is_whole
            and not self.services.has(*controller_services)
            and self.services.has("n-cpu", "zun-compute")
        )

    @cached_property
    def is_ovn(self) -> bool | None:
        """Return True if neutron's backend is OVN; None if neither file nor release tells."""
        for name in ("Q_AGENT", "NEUTRON_AGENT", "Q_ML2_PLUGIN_MECHANISM_DRIVERS"):
            if self.value(name):
                return "ovn" in self.value(name).split(",")
        if self.value("Q_PLUGIN") not in ("", "ml2"):
            return False
        if self.services.has("ovn-controller", "ovn-northd"):
            return True
        release = self.scope.release
        return release.network_modes[0] == "ovn" if release and release.network_modes else None


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
    missing = False

    def replace(reference: re.Match[str]) -> str:
        nonlocal missing
        value = values.get(reference[1] or reference[2])
        missing = missing or (value is None and reference[3] is None)
        return value or reference[3] or ""

    text = _REFERENCE.sub(replace, word.text)
    return None if missing or "$" in text or "`" in text else text


def _services(script: shell.Script, *, is_final: bool) -> Services:
    """Return the services that the statements of a localrc leave enabled and disabled.

    Statements under a condition are passed over: whether they run is not known here.
    """
    changes = _ServiceChanges(is_final=is_final)
    for statement in script.statements:
        if statement.conditional:
            continue
        if isinstance(statement, shell.Call):
            changes.call(statement)
        elif statement.name == "ENABLED_SERVICES":
            changes.assign(statement)
    return changes.result()


@dataclass(slots=True, kw_only=True)
class _ServiceChanges:
    """ENABLED_SERVICES while a localrc is read; each name comes with the line that gave it."""

    is_final: bool  # disable_service wins over any later enable_service
    enabled: dict[str, int] = field(default_factory=dict)
    disabled: dict[str, int] = field(default_factory=dict)
    is_whole: bool = False  # the list does not go on from DevStack's default

    def assign(self, assignment: shell.Assignment) -> None:
        """Take `ENABLED_SERVICES=` or `+=`; `=$ENABLED_SERVICES,...` appends, too."""
        is_addition = assignment.is_appended or "ENABLED_SERVICES" in assignment.value.names
        if not is_addition:
            self._start_anew()
        for name in _listed(assignment.value.text):
            self.enabled[name] = assignment.line

    def call(self, call: shell.Call) -> None:
        """Take a call of one of DevStack's functions that change the list."""
        if call.name == "disable_all_services":
            self._start_anew()
        elif call.name == "enable_service":
            for argument in call.args:
                self._enable(argument)
        elif call.name == "disable_service":
            for argument in call.args:
                self.disabled[argument.text] = argument.line
                self.enabled.pop(argument.text, None)

    def result(self) -> Services:
        """Return the final list: a `-name` in it takes out `name`, wherever that stands."""
        negated = {
            name.removeprefix("-"): line
            for name, line in self.enabled.items()
            if name.startswith("-")
        }
        remaining = {
            name: line
            for name, line in self.enabled.items()
            if not name.startswith("-") and name not in negated
        }
        disabled = {**self.disabled, **negated}
        return Services(enabled=remaining, disabled=disabled, is_whole=self.is_whole)

    def _start_anew(self) -> None:
        self.enabled.clear()
        self.is_whole = True

    def _enable(self, argument: shell.Word) -> None:
        for name in _listed(argument.text):
            if not (self.is_final and name in self.disabled):
                self.enabled[name] = argument.line


def _listed(text: str) -> Iterator[str]:
    """Yield the names of a comma-separated list.

    DevStack splits it without bash, so blanks do not separate.
    """
    return (name for name in text.split(",") if name and "$" not in name)
