"""A node's place in the cloud: which services it has, and on which addresses."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from stacklab.installers.kit.addresses import address, free_part, nic_on
from stacklab.installers.kit.datapath import has_userspace_datapath
from stacklab.installers.kit.roles import has_compute, is_in_cloud
from stacklab.model.lab import NIC, Lab, Node, NodeKind

# The physical network that floating addresses are on, as neutron calls it.
PHYSICAL_NETWORK = "external"
_LOOPBACK = IPv4Address("127.0.0.1")
_POOL_PREFIX = 26  # a quarter of a /24 for floating addresses


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudPlace:
    """All that configuration files ask about a node."""

    is_controller: bool
    has_compute: bool  # tenants' VMs run here
    controller: IPv4Address  # where the APIs, the database and the messages are
    own: IPv4Address
    data_nic: NIC  # carries the tunnels between tenants' VMs
    external_nic: NIC | None  # is given to br-ex; None: the node is not the gateway
    has_userspace_datapath: bool  # Open vSwitch without its kernel module
    has_tunnel_bridge: bool  # in user space a tunnel's end must be the address of a bridge
    is_vm: bool
    volume_types: tuple[str, ...]  # (): the cloud has no cinder
    has_direct_copy: bool  # cinder copies images from glance's file system
    has_tls: bool  # the APIs are reached by HTTPS; tls.py has the rest
    has_dashboard: bool

    @property
    def api_listen(self) -> IPv4Address:
        """Return where this controller's APIs listen: with TLS, haproxy alone calls them."""
        return _LOOPBACK if self.has_tls else self.own


def place_of(lab: Lab, node: Node) -> CloudPlace | None:
    """Return a node's place; None for a bystander.

    Raises RenderError for a node without a NIC on a network of the cloud.
    """
    if not is_in_cloud(lab, node):
        return None
    stack = lab.stack
    is_controller = node.name == lab.controller.name
    external_nic = None
    if is_controller and stack.external_network:
        external_nic = nic_on(lab, node, stack.external_network)
    in_user_space = has_userspace_datapath(lab, node)
    cloud_nodes = [one for one in lab.nodes if is_in_cloud(lab, one)]
    return CloudPlace(
        is_controller=is_controller,
        has_compute=has_compute(lab, node),
        controller=address(lab, lab.controller),
        own=address(lab, node),
        data_nic=nic_on(lab, node, stack.data_network or stack.network),
        external_nic=external_nic,
        has_userspace_datapath=in_user_space,
        # A node alone has nobody at the other end, and keeps the address of its only way out.
        has_tunnel_bridge=in_user_space and len(cloud_nodes) > 1,
        is_vm=node.kind is NodeKind.VM,
        volume_types=volume_types(lab),
        has_direct_copy=stack.glance.direct_copy,
        has_tls=stack.has_tls,
        has_dashboard=stack.has_dashboard,
    )


def volume_types(lab: Lab) -> tuple[str, ...]:
    """Return the volume types that the cloud has: those of the spec, or none on containers.

    A container has neither LVM's device mapper nor iSCSI, wherever in the cloud it is.
    """
    cloud_nodes = [node for node in lab.nodes if is_in_cloud(lab, node)]
    has_container = any(node.kind is NodeKind.CONTAINER for node in cloud_nodes)
    return () if has_container else lab.stack.volume_types


def left_out(lab: Lab) -> tuple[str, ...]:
    """Return what the spec asks for and the cloud does not have, with the reason."""
    if lab.stack.volume_types == volume_types(lab):
        return ()
    return ("cinder: a container's kernel gives it neither LVM nor iSCSI; VMs have both",)


def floating_pool(lab: Lab) -> IPv4Network | None:
    """Return the range of floating addresses, free of the nodes'; None without such a network."""
    if not lab.stack.external_network:
        return None
    return free_part(lab, lab.stack.external_network, _POOL_PREFIX)
