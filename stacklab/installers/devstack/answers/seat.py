"""A node as DevStack sees it: addresses, NICs, services, ranges."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from stacklab.errors import RenderError
from stacklab.installers.kit.addresses import address, api_address, free_of_nodes, nic_on
from stacklab.installers.kit.roles import has_compute, is_in_cloud
from stacklab.model.lab import Lab, Node, NodeKind
from stacklab.model.release import Release
from stacklab.model.stack import Driver, NetworkingMode, Role

# Its volumes are LVM's, and no container has the kernel's device mapper.
_CINDER = ("c-api", "c-sch", "c-vol")


@dataclass(frozen=True, slots=True, kw_only=True)
class DevStackSeat:
    """All about one node that the templates know beside `lab` and `node`."""

    is_controller: bool
    has_compute: bool  # instances run here
    host_ip: IPv4Address
    service_host: IPv4Address  # where the APIs are
    controller_ip: IPv4Address  # where the database and the messages are
    data_ip: IPv4Address
    data_device: str
    public_device: str  # the NIC that is given to the cloud; "" for none
    services: tuple[str, ...]  # all of ENABLED_SERVICES, on a compute
    enabled: tuple[str, ...]  # beside the release's own list, on a controller
    disabled: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """The cloud's own addresses: what is None or empty stays DevStack's default."""

    fixed: IPv4Network | None = None
    floating: IPv4Network | None = None  # FLOATING_RANGE
    pool: str = ""  # the part of it that the cloud may give away, as neutron's client takes it
    gateway: IPv4Address | None = None  # out of `floating`


def seat(lab: Lab, release: Release, node: Node) -> DevStackSeat | None:
    """Return a node's place in the cloud; None for a bystander.

    Raises RenderError for a lab that DevStack cannot install.
    """
    _check_lab(lab)
    if not is_in_cloud(lab, node):
        return None
    is_controller = node.name == lab.controller.name
    data_nic = nic_on(lab, node, lab.stack.data_network or lab.stack.network)
    return DevStackSeat(
        is_controller=is_controller,
        has_compute=has_compute(lab, node),
        host_ip=address(lab, node),
        service_host=api_address(lab),
        controller_ip=address(lab, lab.controller),
        data_ip=data_nic.address.ip,
        data_device=data_nic.device,
        public_device=_public_device(lab, node),
        **_find_services(lab, release, node),
    )


def ranges(lab: Lab, release: Release) -> Ranges:
    """Return the ranges of tenants and of floating addresses.

    Raises RenderError for one that would give away addresses in use.
    """
    stack = lab.stack
    if not stack.external_network:
        gateway = None
        # nova-network does not have a router: computes answer for floating addresses themselves.
        if stack.floating_range and not is_nova_network(lab):
            gateway = stack.floating_range[1]
        return Ranges(fixed=stack.fixed_range, floating=stack.floating_range, gateway=gateway)
    outside = lab.network(stack.external_network)
    given = given_away(lab)
    if is_nova_network(lab):
        return Ranges(fixed=stack.fixed_range, floating=given)
    # Where stack.sh doesn't take the NIC over, the controller itself is the way out.
    controller_ip = nic_on(lab, lab.controller, outside.name).address.ip
    # neutron's subnet is the whole network; its pool holds what is given away.
    return Ranges(
        fixed=stack.fixed_range,
        floating=outside.cidr,
        pool=f"start={given[1]},end={given[-2]}",
        gateway=outside.host_address if release.text("public_interface") else controller_ip,
    )


def given_away(lab: Lab) -> IPv4Network:
    """Return the part of the external network that the cloud may give away."""
    outside = lab.network(lab.stack.external_network)
    if lab.stack.floating_range:
        return free_of_nodes(lab, lab.stack.floating_range, outside.name)
    return _choose_upper_half(lab, outside.cidr)


def is_nova_network(lab: Lab) -> bool:
    """Return True if nova makes the cloud's networks, and neutron is not there."""
    return lab.stack.network_mode is not None and lab.stack.network_mode.is_nova_network


def _choose_upper_half(lab: Lab, cidr: IPv4Network) -> IPv4Network:
    """Return the half of a network that has no nodes, as labs number them from the bottom."""
    half = list(cidr.subnets(1))[1]
    for node in lab.nodes:
        for nic in node.nics:
            if nic.address.ip in half:
                raise RenderError(
                    f"a range for floating addresses cannot be chosen: {node.name} "
                    f"has {nic.address.ip}",
                    hint=(
                        f"write stack.floating_range: a part of {cidr} without the nodes' addresses"
                    ),
                )
    return half


def _check_lab(lab: Lab) -> None:
    """Refuse what DevStack cannot install."""
    controllers = [node.name for node in lab.nodes if node.role is Role.CONTROLLER]
    if len(controllers) > 1:
        raise RenderError(f"DevStack knows one controller, the lab has {', '.join(controllers)}")
    stack = lab.stack
    if stack.driver is Driver.ZUN and api_address(lab) != address(lab, lab.controller):
        raise RenderError(
            f"stack.api_network: zun takes a node for the controller when its HOST_IP is "
            f"SERVICE_HOST; "
            f"they are {address(lab, lab.controller)} and {api_address(lab)}",
            hint="remove stack.api_network",
        )
    if stack.external_network and stack.network_mode is NetworkingMode.LINUXBRIDGE:
        raise RenderError(
            "stack.external_network: DevStack gives a NIC to Open vSwitch's bridges alone",
            hint="remove it, or write network_mode: ovs",
        )


def _public_device(lab: Lab, node: Node) -> str:
    """Return the NIC for floating addresses.

    The controller has one; with nova-network every compute has, since each is a gateway of its own.
    """
    name = lab.stack.external_network
    if not name or not (node.name == lab.controller.name or is_nova_network(lab)):
        return ""
    nic = node.nic_on(name)
    if nic is None:
        raise RenderError(
            f"node {node.name} needs a NIC on {name}: with nova-network every compute "
            "has its own floating addresses",
            hint=f"add `- network: {name}` to nodes.{node.name}.nics",
        )
    return nic.device


def _find_services(lab: Lab, release: Release, node: Node) -> dict[str, tuple[str, ...]]:
    """Return the services of a node: a controller changes the release's list, a compute has one."""
    if node.name == lab.controller.name:
        return _on_controller(lab, release, node)
    return _on_compute(lab, release)


def _on_controller(lab: Lab, release: Release, node: Node) -> dict[str, tuple[str, ...]]:
    mode = lab.stack.network_mode
    off = release.services.get(f"controller {mode} off", ())
    if not has_compute(lab, node):
        off += release.services.get("controller off", ())
    if node.kind is NodeKind.CONTAINER and not lab.stack.volume_types:
        off += _CINDER
    return {
        "services": (),
        "enabled": release.services.get(f"controller {mode}", ()),
        "disabled": off,
    }


def _on_compute(lab: Lab, release: Release) -> dict[str, tuple[str, ...]]:
    mode = lab.stack.network_mode
    if f"compute {mode}" not in release.services:
        raise RenderError(
            f"DevStack {release.name} does not have network_mode {mode}",
            hint=f"network_mode: {' or '.join(release.network_modes)}",
        )
    return {"services": release.services[f"compute {mode}"], "enabled": (), "disabled": ()}
