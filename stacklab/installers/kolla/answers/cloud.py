"""A lab as kolla-ansible sees it: hosts, interfaces, the address of the APIs, mounted sources."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from stacklab.errors import RenderError
from stacklab.installers.kit.addresses import (
    address,
    api_address,
    free_of_nodes,
    free_part,
    nic_on,
    taken,
)
from stacklab.installers.kit.git import git_base
from stacklab.installers.kit.roles import compute_nodes, is_in_cloud
from stacklab.model.lab import Lab, Network, Node
from stacklab.model.release import Release
from stacklab.model.release_names import operating_system
from stacklab.model.stack import NetworkingMode, Role
from stacklab.words import suggest

# a dummy, where the lab has no external network; kolla-ansible dislikes a "-" in it
EXTERNAL_DEVICE = "external0"

# neutron_plugin_agent, by what the spec calls it.
_PLUGIN_AGENTS = {NetworkingMode.OVS: "openvswitch", NetworkingMode.OVN: "ovn"}
_TOP_FREE = 32  # of a /24 or wider: the spec gives these to nobody, they are for floating addresses
_WIDE = 256  # addresses, from which on a network has that part
_YES = ("yes", "true")


@dataclass(frozen=True, slots=True, kw_only=True)
class KollaHost:
    """A line of the inventory."""

    name: str
    address: IPv4Address
    interfaces: tuple[tuple[str, str], ...]  # kolla-ansible's variable, and the device


@dataclass(frozen=True, slots=True, kw_only=True)
class ClonedSource:
    """A service whose source is mounted into its containers."""

    project: str  # its repository
    variable: str  # how kolla-ansible's variables begin
    ref: str  # "": the release's branch

    @property
    def is_change(self) -> bool:
        """Return True for a Gerrit change: Ansible's git module cannot check it out."""
        return self.ref.startswith("refs/")

    @property
    def version(self) -> str:
        """Return what kolla-ansible itself is to check out; "" leaves that to its default."""
        return "" if self.is_change else self.ref


@dataclass(frozen=True, slots=True, kw_only=True)
class KollaCloud:
    """All that the templates know beside `lab`, `stack` and `release`."""

    controllers: tuple[KollaHost, ...]
    computes: tuple[KollaHost, ...]
    distribution: str  # of the containers
    vip: IPv4Address
    has_haproxy: bool
    plugin_agent: str
    git: str
    sources: tuple[ClonedSource, ...]

    @property
    def hosts(self) -> tuple[KollaHost, ...]:
        """Return every host once, controllers first."""
        return tuple(dict.fromkeys((*self.controllers, *self.computes)))


def cloud_of(lab: Lab, release: Release) -> KollaCloud:
    """Return a lab as kolla-ansible sees it; raises RenderError for what it cannot install."""
    controllers = controllers_of(lab)
    floating_pool(lab)  # raises for a range that cannot be given away
    has_haproxy = _has_haproxy(lab, controllers)
    mode = lab.stack.network_mode or NetworkingMode(release.network_modes[0])
    return KollaCloud(
        controllers=tuple(_describe_host(lab, node) for node in controllers),
        computes=tuple(_describe_host(lab, node) for node in compute_nodes(lab)),
        distribution=_choose_distribution(lab, release),
        # Without HAProxy, nothing would set an address of its own.
        vip=_free_address(lab) if has_haproxy else api_address(lab),
        has_haproxy=has_haproxy,
        plugin_agent=_PLUGIN_AGENTS[mode],
        git=f"{git_base(lab)}/openstack",
        sources=cloned_sources(lab, release),
    )


def controllers_of(lab: Lab) -> tuple[Node, ...]:
    """Return the nodes with a control plane; the first one is the deployer."""
    controllers = tuple(node for node in lab.nodes if node.role is Role.CONTROLLER)
    # A lab without that role has its control plane on the first node.
    return controllers or (lab.controller,)


def cloud_nodes(lab: Lab) -> tuple[Node, ...]:
    """Return the nodes that kolla-ansible installs something on."""
    return tuple(node for node in lab.nodes if is_in_cloud(lab, node))


def cloned_sources(lab: Lab, release: Release) -> tuple[ClonedSource, ...]:
    """Return the services in dev mode.

    The spec names them, or gives them a ref, which needs the source.
    """
    refs = dict(lab.stack.refs)
    # Services that kolla-ansible can mount, by the beginnings of its variables: placement_dev_mode.
    known = release.words("dev_mode")
    sources = []
    # A project in both is one source; those of dev_mode come first.
    for project in dict.fromkeys((*lab.stack.dev_mode, *refs)):
        # The spec takes neutron-vpnaas and neutron_vpnaas; a variable has the latter form.
        variable = project.replace("-", "_")
        if variable not in known:
            key = "refs" if project in refs else "dev_mode"
            raise RenderError(
                f"stack.{key}: kolla-ansible {release.name} does not mount a source of {project}",
                hint=suggest(variable, known, label="it does of"),
            )
        sources.append(
            ClonedSource(
                project=project.replace("_", "-"),
                variable=variable,
                ref=refs.get(project, ""),
            )
        )
    return tuple(sources)


def _has_haproxy(lab: Lab, controllers: tuple[Node, ...]) -> bool:
    """Return True if HAProxy has the APIs' address; several controllers cannot do without it."""
    wanted = dict(lab.stack.answers).get("enable_haproxy", "").lower()
    is_on = wanted in _YES
    if len(controllers) == 1:
        return is_on
    if wanted and not is_on:
        raise RenderError(
            f"stack.answers: {len(controllers)} controllers need enable_haproxy",
            hint="remove it, or all controllers but one",
        )
    return True


def floating_pool(lab: Lab) -> tuple[IPv4Address, IPv4Address] | None:
    """Return the first and last address for instances on the external network, if there is one."""
    network, part = lab.stack.external_network, lab.stack.floating_range
    if not network and part is None:
        return None
    if not network:
        raise RenderError(
            f"stack.floating_range: {part} needs an external network, which the lab does not have",
            hint="name one in stack.external_network, or remove floating_range",
        )
    if part is not None:
        part = free_of_nodes(lab, part, network)
        return part[1], part[-2]
    return _upper_pool(lab, network)


def _upper_pool(lab: Lab, network: str) -> tuple[IPv4Address, IPv4Address]:
    """Return the upper end of a network; raises RenderError if a node has an address there."""
    cidr = lab.network(network).cidr
    size = cidr.num_addresses
    # The spec leaves no end free of a smaller network, so instances get its upper half.
    first_index = size - _TOP_FREE if size >= _WIDE else size // 2
    first, last = cidr[first_index], cidr[-2]
    occupied = [(ip, name) for name, ip in taken(lab, network) if first <= ip <= last]
    if occupied:
        owners = ", ".join(f"{ip} is {name}'s" for ip, name in occupied)
        # A /27 has _TOP_FREE addresses.
        free = free_part(lab, network, max(cidr.prefixlen + 1, 27))
        raise RenderError(
            f"stack.external_network: {first} to {last} would be given away, but {owners}",
            hint=f"write floating_range: {free}" if free else f"a wider cidr for {network}",
        )
    return first, last


def _free_address(lab: Lab) -> IPv4Address:
    """Return a free address of the API network: the last one below the floating addresses.

    Nodes' own are given from below, so one more node does not meet it.
    """
    network = lab.network(lab.stack.api_network or lab.stack.network)
    used = {ip for _name, ip in taken(lab, network.name)}
    size = network.cidr.num_addresses
    # Above are the floating addresses or, in a small network, the broadcast alone.
    top = _TOP_FREE if size >= _WIDE else 1
    for offset in range(size - top - 1, 1, -1):
        candidate = network.cidr[offset]
        if candidate not in used and not _is_given_away(lab, network, candidate):
            return candidate
    raise RenderError(
        f"network {network.name} ({network.cidr}) does not have a free address for HAProxy",
        hint="a wider cidr, or stack.answers with kolla_internal_vip_address",
    )


def _is_given_away(lab: Lab, network: Network, candidate: IPv4Address) -> bool:
    """Return True if instances can get an address of the API network."""
    if network.name != lab.stack.external_network:
        return False
    part = lab.stack.floating_range
    if part is not None:
        return candidate in part
    first, last = _upper_pool(lab, network.name)
    return first <= candidate <= last


def _choose_distribution(lab: Lab, release: Release) -> str:
    """Return the distribution of the containers: the nodes' own, as upstream tests it."""
    systems = [operating_system(image) for image in lab.images]
    tested = [system for system in systems if system in release.images]
    chosen = (tested or systems)[0]
    # Each is DISTRIBUTION=VERSION, as a system is DISTRIBUTION-VERSION.
    known = [row.partition("=")[0] for row in release.words("base_distros")]
    name = chosen.partition("-")[0]
    if name not in known:
        raise RenderError(
            f"image: kolla-ansible {release.name} does not have containers for {chosen}",
            hint=f"its distributions: {', '.join(known)}",
        )
    return name


def _describe_host(lab: Lab, node: Node) -> KollaHost:
    return KollaHost(
        name=node.name,
        address=address(lab, node),
        interfaces=tuple(_interfaces_of_node(lab, node)),
    )


def _interfaces_of_node(lab: Lab, node: Node) -> Iterator[tuple[str, str]]:
    """Yield what the inventory sets for a host: its NICs may have names of their own."""
    stack = lab.stack
    yield "network_interface", nic_on(lab, node, stack.network).device
    yield "api_interface", nic_on(lab, node, stack.api_network or stack.network).device
    yield "tunnel_interface", nic_on(lab, node, stack.data_network or stack.network).device
    external = external_device(lab, node)
    if external:
        yield "neutron_external_interface", external


def external_device(lab: Lab, node: Node) -> str:
    """Return the NIC that neutron puts into its external bridge on a node; "" without a bridge."""
    network = lab.stack.external_network
    has_bridge = node in controllers_of(lab)
    if not network:
        return EXTERNAL_DEVICE if has_bridge else ""
    nic = node.nic_on(network)
    if nic is None and has_bridge:
        nic = nic_on(lab, node, network)  # raises, and says so
    return nic.device if nic is not None else ""
