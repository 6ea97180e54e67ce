"""A service of a node, and the names of the units that are not services."""

from __future__ import annotations

from dataclasses import dataclass

UNIT_PREFIX = "stacklab-"
CONTROLLER_TARGET = "stacklab-controller.target"
COMPUTE_TARGET = "stacklab-compute.target"
# What is linked here is started at each boot.
WANTS = "/etc/systemd/system/multi-user.target.wants"
# Sets bridges up at each boot: Open vSwitch's own database does not hold their addresses.
BRIDGES = f"{UNIT_PREFIX}bridges.service"
# Makes the volume groups, and sets them up at each boot.
VOLUMES = f"{UNIT_PREFIX}volumes.service"
# Has neutron see which node is the gateway, at each start of ovn-controller.
GATEWAY = f"{UNIT_PREFIX}gateway.service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service of ours; `ready` and `waits_for` are words of the script stacklab-wait."""

    name: str
    command: str
    user: str = ""  # "": the name; services run as users of their own name
    waits_for: tuple[str, ...] = ()
    after: tuple[str, ...] = ()  # units
    ready: str = ""  # what answers once it works; "": nobody is told
    type: str = "simple"
    lines: tuple[str, ...] = ()  # further ones of [Service]

    @property
    def unit(self) -> str:
        """Return the unit's name."""
        return f"{UNIT_PREFIX}{self.name}.service"

    @property
    def runs_as(self) -> str:
        """Return the user that it runs as."""
        return self.user or self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Wsgi:
    """A WSGI application under uWSGI."""

    name: str
    file: str
    port: int
    takes_uploads: bool = False  # bodies without a known length
    logs_by_oslo: bool = True
    static: str = ""  # the directory of what it has below /static
