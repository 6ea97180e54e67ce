"""A VM that moves to another compute while it runs, and one that is made larger."""

from __future__ import annotations

from typing import Any

import openstack

from stacklab.drivers.cloud_smoke.guests import Guests
from stacklab.drivers.cloud_smoke.resources import LARGER_FLAVOR, Resources, reason_of_error
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
        server = self._resources.server(name)
        target = self._resources.server(other).hypervisor_hostname
        pings = self._guests.begin_pings(other, name)
        self._cloud.compute.live_migrate_server(server, host=target, block_migration="auto")
        self._wait_until_moved(name, target)
        # Packets of neutron's announcement may be on their way still.
        self._guests.ping(other, name)
        return f"to {target}; {self._guests.end_pings(other, pings)}"

    def _wait_until_moved(self, name: str, target: str) -> None:
        def look() -> str:
            server = self._unbroken(name)
            if server.status != "ACTIVE" or server.task_state:
                return f"{name} is {server.task_state or server.status}"
            if server.hypervisor_hostname != target:
                return f"{name} is on {server.hypervisor_hostname} as before: {self._why(server)}"
            return ""

        wait_until_nothing_is_missing(look, _MOVED_S)

    def _unbroken(self, name: str) -> Any:  # noqa: ANN401  openstacksdk's
        """Return a VM as it is now; raises StepFailed if nova has given it up."""
        server = self._resources.server(name)
        if server.status == "ERROR":
            raise StepFailed(reason_of_error(server))
        return server

    def _why(self, server: Any) -> str:  # noqa: ANN401  openstacksdk's
        """Return what nova has on record of the last migration."""
        for migration in self._cloud.compute.migrations(instance_uuid=server.id):
            if migration.status in ("error", "failed"):
                raise StepFailed(
                    f"nova gave the migration up: {migration.status}; "
                    f"its reason is in the journal of {migration.source_compute}"
                )
            return str(migration.status)
        return "no migration on record"

    def resize(self, name: str) -> str:
        """Make a VM larger, wherever nova takes it for that, and see that it boots again."""
        compute = self._cloud.compute
        flavor = compute.find_flavor(self._resources.full_name(LARGER_FLAVOR), ignore_missing=False)
        compute.resize_server(self._resources.server(name), flavor)
        self._wait_for_status(name, "VERIFY_RESIZE")
        compute.confirm_server_resize(self._resources.server(name))
        self._wait_for_status(name, "ACTIVE")
        self._guests.host_logs_in(name)
        return f"on {self._resources.server(name).hypervisor_hostname}"

    def _wait_for_status(self, name: str, status: str) -> None:
        def look() -> str:
            server = self._unbroken(name)
            return "" if server.status == status else f"{name} is {server.status}"

        wait_until_nothing_is_missing(look, _RESIZED_S)
