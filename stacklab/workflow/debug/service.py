"""A service that can be debugged: what is known of it, and what its kit says of its unit."""

from __future__ import annotations

from dataclasses import dataclass

from stacklab.errors import LabError
from stacklab.installers import kit_of
from stacklab.model.lab import Lab, NodeKind
from stacklab.stages.stage import MINUTE_S

_RESTART_S = 5 * MINUTE_S  # DevStack's units under uWSGI need 90 s to stop
_EMULATED_RESTART_S = 20 * MINUTE_S  # an emulated node imports Python for minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugProcess:
    """A process under a debugger: at this port of its node's loopback it listens, or has called."""

    pid: int
    port: int
    program: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugService:
    """A service that runs a Python program; all words of the node's are printable."""

    node: str
    name: str  # nova-api, n-api
    unit: str
    kind: str  # python or uwsgi
    container: str = ""  # in which it runs; "" for none
    engine: str = ""  # of the container: docker or podman
    state: str
    is_hooked: bool  # it is under a debugger
    debugger: str  # which; "" for none
    is_calmed: bool  # it waits longer for others
    is_detailed: bool  # it logs more
    processes: tuple[DebugProcess, ...]


def restart_limit_s(lab: Lab, node: str) -> float:
    """Return how long a restart of services may take on a node."""
    return _EMULATED_RESTART_S if lab.node(node).kind is NodeKind.VM else _RESTART_S


def service_prefix(lab: Lab) -> str:
    """Return what units of the cloud's services begin with; raises LabError where nobody knows."""
    kit = kit_of(lab.stack.installer)
    if kit is None or not kit.service_prefix:
        raise LabError(
            f"lab {lab.name} has no services that stacklab can debug "
            f"(stack.installer: {lab.stack.installer})",
            hint="labs that have some: openstack-3node, devstack-3node",
        )
    return kit.service_prefix


def prefix_of_units(lab: Lab, what: str) -> str:
    """Return the same of services that run as units themselves; raises LabError for containers.

    `what` is to be done with them: `a trace`.
    """
    kit = kit_of(lab.stack.installer)
    if kit is not None and kit.has_containers:
        raise LabError(
            f"{what} takes services that are units of systemd, and those of {lab.name} are in "
            "containers",
            hint=f"their logs: ./invoke lab.logs {lab.name}",
        )
    return service_prefix(lab)
