"""A lab as Packstack sees it: hosts, interfaces, ranges; what it can't express is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from types import MappingProxyType

from stacklab.errors import RenderError
from stacklab.installers.kit.addresses import api_address, nic_on, taken
from stacklab.installers.kit.roles import has_compute, is_in_cloud
from stacklab.installers.packstack.answers import release_keys
from stacklab.installers.packstack.answers.release_keys import ReleaseKeys
from stacklab.model.lab import Lab, Node
from stacklab.model.release import Release
from stacklab.model.stack import Driver, NetworkingMode

# What neutron's back ends are called there, and their types of networks, the tenants' first.
_AGENTS: Mapping[NetworkingMode, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        NetworkingMode.OVN: ("ovn", ("geneve", "flat")),
        NetworkingMode.OVS: ("openvswitch", ("vxlan", "flat")),
        NetworkingMode.LINUXBRIDGE: ("linuxbridge", ("vlan",)),
    }
)
_MANAGERS: Mapping[NetworkingMode, str] = MappingProxyType(
    {
        NetworkingMode.FLAT: "nova.network.manager.FlatManager",
        NetworkingMode.FLAT_DHCP: "nova.network.manager.FlatDHCPManager",
        NetworkingMode.VLAN: "nova.network.manager.VlanManager",
    }
)
# Where this is a key, a mapping does not mean every node.
_MAPPED = "CONFIG_NEUTRON_OVS_BRIDGES_COMPUTE"
# The part of the public network that instances get; a key of newer releases.
_POOLS = "CONFIG_PROVISION_DEMO_ALLOCATION_POOLS"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackstackCloud:
    """Hosts and networks, as the answer file names them."""

    controller: IPv4Address
    computes: tuple[IPv4Address, ...]
    is_nova_network: bool
    has_vlans: bool
    manager: str  # of nova-network; "" with neutron
    agent: str  # of neutron; "" with nova-network
    types: tuple[str, ...]
    maps_bridges: bool  # whether a mapping can be the controller's alone
    data_device: str
    data_cidr: IPv4Network
    public_device: str
    external_device: str  # on the controller; "" for none
    fixed_range: str
    fixed_size: int
    floating_range: str
    pools: str  # JSON
    no_demo: str  # why there are no first networks; "" where there are


def cloud_of(lab: Lab, release: Release) -> PackstackCloud:
    """Return a lab as Packstack sees it; raises RenderError for what it has no keys for."""
    stack = lab.stack
    keys = release_keys.keys_of_release(release)
    mode = stack.network_mode or NetworkingMode(release.network_modes[0])
    if stack.driver is Driver.DOCKER:
        _check_docker(lab, mode, release)
    if stack.fixed_range and not mode.is_nova_network:
        raise RenderError(
            f"stack.fixed_range: with network_mode {mode}, Packstack's first network "
            "is 10.0.0.0/24, and a key cannot change it",
            hint="remove fixed_range, and make networks of yours when the cloud is there",
        )
    # nova-network has neither.
    agent, types = _AGENTS.get(mode, ("", ()))
    maps_bridges = agent == "ovn" or keys.has(_MAPPED)
    fixed = stack.fixed_range or IPv4Network(release.text("fixed_range") or "0.0.0.0/32")
    floating, pools = _floating_ranges(lab, release, mode)
    return PackstackCloud(
        controller=api_address(lab),
        computes=_compute_addresses(lab),
        is_nova_network=mode.is_nova_network,
        has_vlans=mode is NetworkingMode.VLAN,
        manager=_MANAGERS.get(mode, ""),
        agent=agent,
        # Flat networks need a mapping, which the tenants' own do not.
        types=types if maps_bridges else types[:1],
        maps_bridges=maps_bridges,
        data_device=_data_device(lab),
        data_cidr=lab.network(stack.data_network or stack.network).cidr,
        public_device=_public_device(lab),
        external_device="" if mode.is_nova_network else _external_device(lab),
        fixed_range=str(fixed),
        fixed_size=fixed.num_addresses,
        floating_range=str(floating),
        pools=json.dumps(pools),
        no_demo=_why_no_demo(lab, mode, keys),
    )


def _compute_addresses(lab: Lab) -> tuple[IPv4Address, ...]:
    computes = [node for node in cloud_nodes(lab) if has_compute(lab, node)]
    return tuple(host_address(lab, node) for node in computes)


def _public_device(lab: Lab) -> str:
    """Return the controller's NIC to the outside."""
    network = lab.stack.external_network or lab.stack.network
    return nic_on(lab, lab.controller, network).device


def _external_device(lab: Lab) -> str:
    """Return the controller's NIC on the external network; "" without such a network."""
    return _public_device(lab) if lab.stack.external_network else ""


def cloud_nodes(lab: Lab) -> tuple[Node, ...]:
    """Return the nodes that Packstack installs, the controller first."""
    others = [node for node in lab.nodes if node.name != lab.controller.name]
    return (lab.controller, *(node for node in others if is_in_cloud(lab, node)))


def host_address(lab: Lab, node: Node) -> IPv4Address:
    """Return the one address by which Packstack knows a node; a second would be a second host.

    The controller's is that of the APIs, since nothing else says where they are.
    """
    if node.name == lab.controller.name:
        return api_address(lab)
    return nic_on(lab, node, lab.stack.network).address.ip


def _data_device(lab: Lab) -> str:
    """Return the NIC of tunnels, which has one name for all nodes."""
    network = lab.stack.data_network or lab.stack.network
    # Refused beforehand: Packstack would find out on the first node that lacks the NIC.
    devices = {node.name: nic_on(lab, node, network).device for node in cloud_nodes(lab)}
    if len(set(devices.values())) > 1:
        devices_by_node = ", ".join(f"{device} on {name}" for name, device in devices.items())
        raise RenderError(
            "stack.data_network: Packstack has one interface for all nodes; "
            f"{network} is {devices_by_node}",
            hint=f"list {network} at the same place in the `nics` of every node",
        )
    return devices[lab.controller.name]


def _check_docker(lab: Lab, mode: NetworkingMode, release: Release) -> None:
    """Raise RenderError for a lab that nova's docker driver cannot be installed in."""
    fitting = release.words("docker_network_modes")
    node_count = len(cloud_nodes(lab))
    if mode not in fitting:
        raise RenderError(
            f"stack.network_mode: {mode} does not go with driver docker: its instances get no "
            f"network from neutron",
            hint=f"network_mode: {' or '.join(fitting)}",
        )
    if node_count > 1:
        raise RenderError(
            f"stack.driver: docker is one node's with Packstack, the lab has {node_count}",
            hint="leave the controller alone, without computes",
        )


def _why_no_demo(lab: Lab, mode: NetworkingMode, keys: ReleaseKeys) -> str:
    """Return why Packstack shall not make first networks; "" if it shall."""
    if lab.stack.driver is Driver.DOCKER:
        return "The image would be a disk's, and docker has no use for that."
    network = lab.stack.external_network
    # Without a key for pools, neutron gives away the whole of the public network.
    if network and not mode.is_nova_network and not keys.has(_POOLS):
        return f"It would give away all of {network}, the nodes' and the host's addresses too."
    return ""


def _floating_ranges(
    lab: Lab, release: Release, mode: NetworkingMode
) -> tuple[IPv4Network, list[str]]:
    """Return the public network's range, and the part of it that instances get."""
    network, wanted = lab.stack.external_network, lab.stack.floating_range
    if not network or mode.is_nova_network:
        return wanted or IPv4Network(release.text("floating_range")), []
    cidr = lab.network(network).cidr
    # The host has a network's first address, and nodes have those that follow.
    _lower_half, upper_half = cidr.subnets(1)
    part = wanted or upper_half
    if not part.subnet_of(cidr):
        raise RenderError(
            f"stack.floating_range: {part} is not in {network}, {cidr}",
            hint=f"a part of it, e.g. {upper_half}",
        )
    first, last = _usable_ends(part, cidr)
    occupied = [(name, ip) for name, ip in taken(lab, network) if first <= ip <= last]
    if occupied:
        owners = ", ".join(f"{ip} is {name}'s" for name, ip in occupied)
        raise RenderError(
            f"stack.floating_range: {part} would be given away, but {owners}",
            hint="another part of that network, or other addresses for them",
        )
    return cidr, [f"start={first},end={last}"]


def _usable_ends(part: IPv4Network, cidr: IPv4Network) -> tuple[IPv4Address, IPv4Address]:
    """Return a range's first and last usable address."""
    # cidr's own ends are the network's address and the broadcast.
    first = cidr[1] if part[0] == cidr[0] else part[0]
    last = cidr[-2] if part[-1] == cidr[-1] else part[-1]
    return first, last
