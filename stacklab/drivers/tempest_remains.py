"""Delete what a tempest that was cut off has left in a cloud: its projects, and all of theirs.

Tempest names all that it makes `tempest-...`, and nothing of another name is touched. Its own
`tempest cleanup` deletes whatever it has not seen before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import openstack

from stacklab.drivers.cloud_smoke.steps import wait_until_nothing_is_missing

_PREFIX = "tempest-"
_GONE_S = 300.0


def delete(cloud: openstack.connection.Connection) -> None:
    """Delete all of it; raises StepFailed for VMs that stay."""
    projects = list(_named(cloud.identity.projects()))
    for project in projects:
        _delete_servers(cloud, project.id)
    for project in projects:
        _delete_networks(cloud.network, project.id)
    for user in _named(cloud.identity.users()):
        cloud.identity.delete_user(user)
    for project in projects:
        cloud.identity.delete_project(project)
    for flavor in _named(cloud.compute.flavors(is_public=None)):
        cloud.compute.delete_flavor(flavor)


def _named(things: Iterable[Any]) -> Iterator[Any]:
    """Yield those of tempest's."""
    return (thing for thing in things if str(thing.name or "").startswith(_PREFIX))


def _delete_servers(cloud: openstack.connection.Connection, project_id: str) -> None:
    def servers() -> list[Any]:
        listed = cloud.compute.servers(details=False, all_projects=True, project_id=project_id)
        return list(listed)

    for server in servers():
        cloud.compute.delete_server(server, force=True)
    wait_until_nothing_is_missing(lambda: ", ".join(each.name for each in servers()), _GONE_S)


def _delete_networks(network: Any, project_id: str) -> None:  # noqa: ANN401  openstacksdk's
    for address in list(network.ips(project_id=project_id)):
        network.delete_ip(address)
    for router in list(network.routers(project_id=project_id)):
        for port in list(network.ports(device_id=router.id)):
            if port.device_owner.startswith("network:router_interface"):
                network.remove_interface_from_router(router, port_id=port.id)
        network.delete_router(router)
    for one in list(network.networks(project_id=project_id)):
        for port in list(network.ports(network_id=one.id)):
            if not port.device_owner.startswith("network:"):
                network.delete_port(port)
        network.delete_network(one)
    for group in list(network.security_groups(project_id=project_id)):
        if group.name != "default":  # it goes with its project
            network.delete_security_group(group)
