"""How long services wait for one that stands at a breakpoint, while somebody reads.

Options of oslo.config can be given by environment variables, which win over files:
docs.openstack.org/oslo.config, "Environment". A service that does not know one ignores it.
"""

from __future__ import annotations

from collections.abc import Sequence

from stacklab.workflow.debug.service import DebugService

PATIENCE_S = 3600
# Of whoever calls, or watches, the service that stands still.
CALLERS = (
    f"OS_DEFAULT__RPC_RESPONSE_TIMEOUT={PATIENCE_S}",
    f"OS_DEFAULT__SERVICE_DOWN_TIME={PATIENCE_S}",
    f"OS_DEFAULT__AGENT_DOWN_TIME={PATIENCE_S}",
    f"OS_DEFAULT__VIF_PLUGGING_TIMEOUT={PATIENCE_S}",
)
# Of the service itself: RabbitMQ would close its connection after a minute without a heartbeat, and
# give what it was working on to another one.
DEBUGGED = (*CALLERS, "OS_OSLO_MESSAGING_RABBIT__HEARTBEAT_TIMEOUT_THRESHOLD=0")

# Who calls a service by messages, by how their names begin: as Debian's units have them, and as
# DevStack's. Over HTTP services wait for each other without a limit.
_NOVA = ("nova-api", "nova-conductor", "nova-scheduler", "n-api", "n-cond", "n-super-cond", "n-sch")
_COMPUTES = ("nova-compute", "n-cpu")
_NEUTRON = ("neutron-server", "neutron-api", "neutron-rpc-server", "q-svc")
_CINDER = ("cinder", "c-api", "c-sch", "c-vol")
_CALLERS_OF = {
    ("nova-", "n-"): (*_NOVA, *_COMPUTES),
    # nova-compute waits for a port to be up.
    ("neutron-", "q-"): (*_NEUTRON, *_COMPUTES),
    ("cinder", "c-"): _CINDER,
}


def callers_of(service: DebugService, services: Sequence[DebugService]) -> tuple[DebugService, ...]:
    """Return the services, on all nodes, that would give a service up while it stands still."""
    beginnings: tuple[str, ...] = ()
    for family, callers in _CALLERS_OF.items():
        if _name(service).startswith(family):
            beginnings = callers
    return tuple(
        each for each in services if _name(each).startswith(beginnings) and each != service
    )


def _name(service: DebugService) -> str:
    """Return a service's name as units have it: kolla's containers have nova_api."""
    return service.name.replace("_", "-")
