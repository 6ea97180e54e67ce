"""A VM that moves to another compute while it runs, and one that is made larger."""

from __future__ import annotations

import openstack

from stacklab.drivers.cloud_smoke.guests import Guests
from stacklab.drivers.cloud_smoke.resources import LARGER_FLAVOR, Resources
from stacklab.drivers.cloud_smoke.steps import StepFailed, wait_until_nothing_is_missing

_MOVED_S = 600.0
_RESIZED_S = 600.0


class Moves:
    """What becomes of the VMs of one run after they were booted."""

    def __init__(
        self, cloud: openstack.connection.Connection, resources: Resources, guests: Guests
    ) -> None:
        self._cloud = cloud
        self._resources = resources
        self._guests = guests

    def migrate(self, name: str, other: str) -> str:
        """Move a VM to the compute of the other, which pings it all the while; returns the loss."""
        server_id = self._resources.server_id(name)
        target = self._resources.server(other).hypervisor_hostname
        pings = self._guests.begin_pings(other, name)
        self._cloud.compute.live_migrate_server(server_id, host=target, block_migration="auto")
        wait_until_nothing_is_missing(lambda: self._unfinished_move(server_id), _MOVED_S)
        self._resources.wait_for_status([name], "ACTIVE", _MOVED_S)
        found = self._resources.server(name).hypervisor_hostname
        if found != target:
            raise StepFailed(f"nova has moved {name}, but it is on {found} as before")
        # Packets of neutron's announcement may be on their way still.
        self._guests.ping(other, name)
        return f"to {target}; {self._guests.end_pings(other, pings)}"

    def _unfinished_move(self, server_id: str) -> str:
        """Return how far nova is with a VM's migration, "" if it is done."""
        for migration in self._cloud.compute.migrations(instance_uuid=server_id):
            if migration.status in ("error", "failed"):
                raise StepFailed(
                    f"nova gave the migration up: {migration.status}; "
                    f"its reason is in the journal of {migration.source_compute}"
                )
            return "" if migration.status == "completed" else f"the move is {migration.status}"
        return "no migration on record"

    def resize(self, name: str) -> str:
        """Make a VM larger, wherever nova takes it for that, and see that it boots again."""
        compute = self._cloud.compute
        flavor = compute.find_flavor(self._resources.full_name(LARGER_FLAVOR), ignore_missing=False)
        compute.resize_server(self._resources.server_id(name), flavor)
        self._resources.wait_for_status([name], "VERIFY_RESIZE", _RESIZED_S)
        compute.confirm_server_resize(self._resources.server_id(name))
        self._resources.wait_for_status([name], "ACTIVE", _RESIZED_S)
        self._guests.host_logs_in(name)
        return f"on {self._resources.server(name).hypervisor_hostname}"
