"""What the proof makes in the cloud, and deletes again: found by the beginning of its names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import openstack

from stacklab.drivers.cloud_smoke.proof import Guest
from stacklab.drivers.cloud_smoke.steps import StepFailed, wait_until_nothing_is_missing

_ACTIVE_S = 1500.0  # an emulated compute takes minutes
_GONE_S = 300.0
LARGER_FLAVOR = "larger-flavor"
_TENANT_CIDR = "10.99.0.0/24"


class Resources:
    """Everything of one run; names begin with `prefix`."""

    def __init__(
        self, cloud: openstack.connection.Connection, prefix: str, *, has_volumes: bool
    ) -> None:
        self._cloud = cloud
        self._prefix = prefix
        self._has_volumes = has_volumes

    def upload_image(self, tenant: Mapping[str, str], *, is_public: bool = False) -> None:
        """Upload kernel, RAM disk, and the image that names both; for our project, or for all."""
        ids = {}
        visibility = "public" if is_public else "shared"
        # Not as aki and ari: live migration compares these with what QEMU finds, which is raw.
        for word in ("kernel", "ramdisk"):
            uploaded = self._cloud.create_image(
                self.full_name(word),
                filename=tenant[word],
                disk_format="raw",
                container_format="bare",
                visibility=visibility,
                wait=True,
            )
            ids[f"{word}_id"] = uploaded.id
        self._cloud.create_image(
            self.full_name("image"),
            filename=tenant["disk"],
            disk_format="raw",
            container_format="bare",
            visibility=visibility,
            wait=True,
            os_command_line=tenant["command_line"],
            **ids,
        )

    def make_flavors_and_key(self, public_key: str) -> None:
        """Make a tiny flavor and a larger one, and import a key."""
        for word, ram_mib in (("flavor", 128), (LARGER_FLAVOR, 160)):
            # A disk of 0 is refused to users: only volumes may have that.
            self._cloud.compute.create_flavor(
                name=self.full_name(word), ram=ram_mib, vcpus=1, disk=1
            )
        self._cloud.compute.create_keypair(name=self.full_name("key"), public_key=public_key)

    def make_networks(self, external: Mapping[str, str]) -> None:
        """Make the tenants' network, the external one, a router, and rules that let us in."""
        network = self._cloud.network
        subnet = self.make_tenant_network()
        self._make_security_group()
        if not external["name"]:
            self.make_external(external)
        outside_id = self._outside_id(external)
        router = network.create_router(
            name=self.full_name("router"), external_gateway_info={"network_id": outside_id}
        )
        network.add_interface_to_router(router, subnet_id=subnet.id)

    def make_tenant_network(self) -> Any:  # noqa: ANN401  openstacksdk's
        """Make the tenants' network, and return its subnet."""
        network = self._cloud.network
        tenant = network.create_network(name=self.full_name("network"))
        return network.create_subnet(
            name=self.full_name("subnet"), network_id=tenant.id, ip_version=4, cidr=_TENANT_CIDR
        )

    def make_external(self, external: Mapping[str, str]) -> None:
        """Make the network that floating addresses come from."""
        network = self._cloud.network
        outside = network.create_network(
            name=self.full_name("external"),
            is_router_external=True,
            provider_network_type="flat",
            provider_physical_network=external["physical_network"],
        )
        network.create_subnet(
            name=self.full_name("external-subnet"),
            network_id=outside.id,
            ip_version=4,
            cidr=external["cidr"],
            gateway_ip=external["gateway"],
            is_dhcp_enabled=False,
            allocation_pools=[{"start": external["first"], "end": external["last"]}],
        )

    def _outside_id(self, external: Mapping[str, str]) -> str:
        """Return the id of the external network: the installer's, or ours."""
        name = external["name"] or self.full_name("external")
        return str(self.network(name).id)

    def network(self, name: str) -> Any:  # noqa: ANN401  openstacksdk's
        """Return a network; find_network would ask twice, as if the name were an id."""
        for network in self._cloud.network.networks(name=name):
            return network
        raise StepFailed(f"neutron knows no network {name}")

    def _make_security_group(self) -> None:
        group = self._cloud.network.create_security_group(name=self.full_name("group"))
        for protocol, port in (("icmp", None), ("tcp", 22)):
            self._cloud.network.create_security_group_rule(
                security_group_id=group.id,
                direction="ingress",
                ethertype="IPv4",
                protocol=protocol,
                port_range_min=port,
                port_range_max=port,
            )

    def boot(self, guests: Sequence[Guest]) -> Mapping[str, str]:
        """Boot these VMs, each on its host; returns their fixed addresses by their names."""
        compute = self._cloud.compute
        image = self._cloud.image.find_image(self.full_name("image"), ignore_missing=False)
        flavor = compute.find_flavor(self.full_name("flavor"), ignore_missing=False)
        tenant = self.network(self.full_name("network"))
        for guest in guests:
            compute.create_server(
                name=self.full_name(guest.name),
                image_id=image.id,
                flavor_id=flavor.id,
                networks=[{"uuid": tenant.id}],
                key_name=self.full_name("key"),
                security_groups=[{"name": self.full_name("group")}],
                availability_zone=f"nova:{guest.host}",
            )
        self.wait_for_status([guest.name for guest in guests], "ACTIVE", _ACTIVE_S)
        servers = {guest.name: self.server(guest.name) for guest in guests}
        self._check_places(servers, guests)
        return {name: self._fixed_address(server) for name, server in servers.items()}

    def _check_places(self, servers: Mapping[str, Any], guests: Sequence[Guest]) -> None:
        """Raise StepFailed unless each VM is on its host."""
        places = {name: server.hypervisor_hostname for name, server in servers.items()}
        wanted = {guest.name: guest.host for guest in guests}
        if places != wanted:
            raise StepFailed(f"the VMs are not where they should be: {places}, not {wanted}")

    def _fixed_address(self, server: Any) -> str:  # noqa: ANN401  openstacksdk's
        (address,) = server.addresses[self.full_name("network")]
        return str(address["addr"])

    def wait_for_status(self, names: Sequence[str], status: str, limit_s: float) -> None:
        """Wait until nova gives all these VMs a status; raises StepFailed with its reason if not.

        Only names are asked for: to tell more, nova asks neutron for ports and security groups,
        and takes a minute of an emulated controller that has other work.
        """
        ours = {self.full_name(name) for name in names}

        def look() -> str:
            waiting = ours - self._names_in_status(status)
            broken = waiting and waiting & self._names_in_status("ERROR")
            for name in sorted(broken):
                server = self.server(name.removeprefix(self.full_name("")))
                raise StepFailed(f"{name}: {reason_of_error(server)}")
            return f"not {status}: {', '.join(sorted(waiting))}" if waiting else ""

        wait_until_nothing_is_missing(look, limit_s)

    def _names_in_status(self, status: str) -> set[str]:
        servers = self._cloud.compute.servers(details=False, status=status)
        return {server.name for server in self._ours(servers)}

    def give_floating_addresses(self, external: Mapping[str, str]) -> Mapping[str, str]:
        """Give each VM a floating address; returns them by the VMs' names."""
        network = self._cloud.network
        outside_id = self._outside_id(external)
        addresses = {}
        for server in self.servers():
            (port,) = network.ports(device_id=server.id)
            given = network.create_ip(
                floating_network_id=outside_id,
                port_id=port.id,
                description=self.full_name("address"),
            )
            name = server.name.removeprefix(self.full_name(""))
            addresses[name] = given.floating_ip_address
        return addresses

    def server(self, name: str) -> Any:  # noqa: ANN401  openstacksdk's
        """Return a VM as it is now, with all that nova tells an administrator of it."""
        return self._cloud.compute.get_server(self.server_id(name))

    def server_id(self, name: str) -> str:
        """Return nova's id of a VM, which is all that most requests need."""
        for server in self.servers():
            if server.name == self.full_name(name):
                return str(server.id)
        raise StepFailed(f"nova does not know {name} any more")

    def servers(self) -> list[Any]:
        """Return our VMs, with no more than their names and ids."""
        return list(self._ours(self._cloud.compute.servers(details=False)))

    def delete_all(self) -> None:
        """Delete everything of ours, whichever run made it; raises StepFailed for what stays."""
        # Most runs find nothing: then the lists that prove it are enough.
        if not self._names_left():
            return
        cloud = self._cloud
        for server in self.servers():
            cloud.compute.delete_server(server, force=True)
        # While they go: nobody asks for these any more.
        for image in self._ours(cloud.image.images()):
            cloud.image.delete_image(image)
        for flavor in self._ours(cloud.compute.flavors(is_public=None)):
            cloud.compute.delete_flavor(flavor)
        for key in self._ours(cloud.compute.keypairs()):
            cloud.compute.delete_keypair(key)
        wait_until_nothing_is_missing(self._names_of_servers, _GONE_S)
        self._delete_volumes()
        self._delete_networks()
        left = self._names_left()
        if left:
            raise StepFailed(f"still there: {', '.join(left)}")

    def _names_left(self) -> list[str]:
        return [thing.name for thing in self._everything()]

    def _names_of_servers(self) -> str:
        return ", ".join(server.name for server in self.servers())

    def _delete_volumes(self) -> None:
        for volume in self._volumes():
            self._cloud.block_storage.delete_volume(volume)
        wait_until_nothing_is_missing(
            lambda: ", ".join(volume.name for volume in self._volumes()), _GONE_S
        )

    def _volumes(self) -> list[Any]:
        if not self._has_volumes:
            return []
        return list(self._ours(self._cloud.block_storage.volumes()))

    def _delete_networks(self) -> None:
        network = self._cloud.network
        ours = list(self._ours(network.networks()))
        for address in list(network.ips()):
            if address.description == self.full_name("address"):
                network.delete_ip(address)
        for router in list(self._ours(network.routers())):
            for port in list(network.ports(device_id=router.id)):
                if port.device_owner == "network:router_interface":
                    network.remove_interface_from_router(router, port_id=port.id)
            network.delete_router(router)
        for one in ours:
            network.delete_network(one)
        for group in list(self._ours(network.security_groups())):
            network.delete_security_group(group)

    def _everything(self) -> Iterator[Any]:
        network = self._cloud.network
        yield from self.servers()
        yield from self._volumes()
        for listing in (network.networks(), network.routers(), network.security_groups()):
            yield from self._ours(listing)
        yield from self._ours(self._cloud.image.images())
        yield from self._ours(self._cloud.compute.flavors(is_public=None))
        yield from self._ours(self._cloud.compute.keypairs())

    def _ours(self, things: Any) -> Iterator[Any]:  # noqa: ANN401  a listing of any kind
        for thing in things:
            if str(thing.name or "").startswith(f"{self._prefix}-"):
                yield thing

    def full_name(self, word: str) -> str:
        """Return the name that a thing of this run has in the cloud."""
        return f"{self._prefix}-{word}"


def reason_of_error(server: Any) -> str:  # noqa: ANN401  openstacksdk's
    """Return why a VM is in status ERROR, in nova's own words."""
    fault = server.fault or {}
    return str(fault.get("message", "nova gives no reason"))
