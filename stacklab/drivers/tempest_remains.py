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


def delete(cloud: openstack.connection.Connection, *, has_volumes: bool) -> None:
    """Delete all of it; raises StepFailed for VMs, snapshots and volumes that stay."""
    projects = list(_named(cloud.identity.projects()))
    for project in projects:
        _delete_servers(cloud, project.id)
    if has_volumes:
        for project in projects:
            _delete_volumes(cloud.block_storage, project.id)
    _delete_images(cloud.image)
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


def _names(things: Iterable[Any]) -> str:
    """Return their names, or the ids of those that have none."""
    return ", ".join(thing.name or thing.id for thing in things)


def _delete_servers(cloud: openstack.connection.Connection, project_id: str) -> None:
    def servers() -> list[Any]:
        listed = cloud.compute.servers(details=False, all_projects=True, project_id=project_id)
        return list(listed)

    for server in servers():
        cloud.compute.delete_server(server, force=True)
    wait_until_nothing_is_missing(lambda: _names(servers()), _GONE_S)


def _delete_volumes(storage: Any, project_id: str) -> None:  # noqa: ANN401  openstacksdk's
    def snapshots() -> list[Any]:
        return list(storage.snapshots(details=False, all_projects=True, project_id=project_id))

    def volumes() -> list[Any]:
        return list(storage.volumes(details=False, all_projects=True, project_id=project_id))

    # cinder refuses to delete a volume that has a snapshot.
    for snapshot in snapshots():
        storage.delete_snapshot(snapshot)
    wait_until_nothing_is_missing(lambda: _names(snapshots()), _GONE_S)
    for volume in volumes():
        storage.delete_volume(volume)
    wait_until_nothing_is_missing(lambda: _names(volumes()), _GONE_S)


def _delete_images(images: Any) -> None:  # noqa: ANN401  openstacksdk's
    for image in list(_named(images.images())):
        if image.is_protected:
            images.update_image(image, is_protected=False)
        images.delete_image(image)


def _delete_router(network: Any, router: Any) -> None:  # noqa: ANN401  openstacksdk's
    for port in list(network.ports(device_id=router.id)):
        if port.device_owner.startswith("network:router_interface"):
            network.remove_interface_from_router(router, port_id=port.id)
    network.delete_router(router)


def _delete_network(network: Any, one: Any) -> None:  # noqa: ANN401  openstacksdk's
    for port in list(network.ports(network_id=one.id)):
        if not port.device_owner.startswith("network:"):  # neutron's own go with the network
            network.delete_port(port)
    network.delete_network(one)


def _delete_networks(network: Any, project_id: str) -> None:  # noqa: ANN401  openstacksdk's
    # In this order: neutron refuses to delete a router whose addresses are in use, and a network
    # that is on a router.
    for address in list(network.ips(project_id=project_id)):
        network.delete_ip(address)
    for router in list(network.routers(project_id=project_id)):
        _delete_router(network, router)
    for one in list(network.networks(project_id=project_id)):
        _delete_network(network, one)
    for group in list(network.security_groups(project_id=project_id)):
        if group.name != "default":  # it goes with its project
            network.delete_security_group(group)
