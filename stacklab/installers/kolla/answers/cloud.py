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
from stacklab.installers.kit.roles import has_compute, is_in_cloud
from stacklab.model.lab import Lab, Node
from stacklab.model.release import Release, operating_system
from stacklab.model.stack import NetworkingMode, Role
from stacklab.words import suggest

# a dummy, where the lab has no external network; kolla-ansible dislikes a "-" in it
EXTERNAL_DEVICE = "external0"

_PLUGIN_AGENTS = {NetworkingMode.OVS: "openvswitch", NetworkingMode.OVN: "ovn"}
_TOP_FREE = 32  # of a /24 or wider: the spec gives these to nobody, they are for floating addresses
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
    floating(lab)
    haproxy = _has_haproxy(lab, controllers)
    return KollaCloud(
        controllers=tuple(_host(lab, node) for node in controllers),
        computes=tuple(_host(lab, node) for node in lab.nodes if has_compute(lab, node)),
        distribution=_distribution(lab, release),
        vip=_free_address(lab) if haproxy else api_address(lab),
        has_haproxy=haproxy,
        plugin_agent=_PLUGIN_AGENTS[
            lab.stack.network_mode or NetworkingMode(release.network_modes[0])
        ],
        git=f"{git_base(lab)}/openstack",
        sources=sources(lab, release),
    )


def controllers_of(lab: Lab) -> tuple[Node, ...]:
    """Return the nodes with a control plane; the first one is the deployer."""
    return tuple(node for node in lab.nodes if node.role is Role.CONTROLLER) or (lab.controller,)


def cloud_nodes(lab: Lab) -> tuple[Node, ...]:
    """Return the nodes that kolla-ansible installs something on."""
    return tuple(node for node in lab.nodes if is_in_cloud(lab, node))


def sources(lab: Lab, release: Release) -> tuple[ClonedSource, ...]:
    """Return the services in dev mode.

    The spec names them, or gives them a ref, which needs the source.
    """
    refs = dict(lab.stack.refs)
    known = release.words("dev_mode")
    sources_of_services = []
    for project in dict.fromkeys((*lab.stack.dev_mode, *refs)):
        variable = project.replace("-", "_")
        if variable not in known:
            key = "refs" if project in refs else "dev_mode"
            raise RenderError(
                f"stack.{key}: kolla-ansible {release.name} does not mount a source of {project}",
                hint=suggest(variable, known, label="it does of"),
            )
        sources_of_services.append(
            ClonedSource(
                project=project.replace("_", "-"), variable=variable, ref=refs.get(project, "")
            )
        )
    return tuple(sources_of_services)


def _has_haproxy(lab: Lab, controllers: tuple[Node, ...]) -> bool:
    wanted = dict(lab.stack.answers).get("enable_haproxy", "").lower()
    if len(controllers) > 1 and wanted and wanted not in _YES:
        raise RenderError(
            f"stack.answers: {len(controllers)} controllers need enable_haproxy",
            hint="remove it, or all controllers but one",
        )
    return wanted in _YES or len(controllers) > 1


def floating(lab: Lab) -> tuple[IPv4Address, IPv4Address] | None:
    """Return the first and last address for instances on the external network, if there is one."""
    network, part = lab.stack.external_network, lab.stack.floating_range
    if not network:
        if part is None:
            return None
        raise RenderError(
            f"stack.floating_range: {part} needs an external network, which the lab does not have",
            hint="name one in stack.external_network, or remove floating_range",
        )
    if part is not None:
        part = free_of_nodes(lab, part, network)
        return part[1], part[-2]
    cidr = lab.network(network).cidr
    size = cidr.num_addresses
    first, last = cidr[size - _TOP_FREE if size >= 256 else size // 2], cidr[-2]
    if found := ", ".join(
        f"{ip} is {name}'s" for name, ip in taken(lab, network) if first <= ip <= last
    ):
        free = free_part(lab, network, max(cidr.prefixlen + 1, 27))
        right = f"write floating_range: {free}" if free else f"a wider cidr for {network}"
        raise RenderError(
            f"stack.external_network: {first} to {last} would be given away, but {found}",
            hint=right,
        )
    return first, last


def _free_address(lab: Lab) -> IPv4Address:
    """Return a free address of the API network: the last one below the floating addresses.

    Nodes' own are given from below, so one more node does not meet it.
    """
    network = lab.network(lab.stack.api_network or lab.stack.network)
    used = {ip for _name, ip in taken(lab, network.name)}
    part = lab.stack.floating_range
    pool = floating(lab) if network.name == lab.stack.external_network else None
    top = _TOP_FREE if network.cidr.num_addresses >= 256 else 1
    for offset in range(network.cidr.num_addresses - top - 1, 1, -1):
        candidate = network.cidr[offset]
        is_given = pool is not None and (
            candidate in part if part else pool[0] <= candidate <= pool[1]
        )
        if candidate not in used and not is_given:
            return candidate
    raise RenderError(
        f"network {network.name} ({network.cidr}) does not have a free address for HAProxy",
        hint="a wider cidr, or stack.answers with kolla_internal_vip_address",
    )


def _distribution(lab: Lab, release: Release) -> str:
    """Return the distribution of the containers: the nodes' own, as upstream tests it."""
    systems = [operating_system(image) for image in lab.images]
    chosen = next((system for system in systems if system in release.images), systems[0])
    known = [word.partition("=")[0] for word in release.words("base_distros")]
    name = chosen.partition("-")[0]
    if name not in known:
        raise RenderError(
            f"image: kolla-ansible {release.name} does not have containers for {chosen}",
            hint=f"its distributions: {', '.join(known)}",
        )
    return name


def _host(lab: Lab, node: Node) -> KollaHost:
    return KollaHost(
        name=node.name, address=address(lab, node), interfaces=tuple(_interfaces(lab, node))
    )


def _interfaces(lab: Lab, node: Node) -> Iterator[tuple[str, str]]:
    stack = lab.stack
    yield "network_interface", nic_on(lab, node, stack.network).device
    yield "api_interface", nic_on(lab, node, stack.api_network or stack.network).device
    yield "tunnel_interface", nic_on(lab, node, stack.data_network or stack.network).device
    if external := external_device(lab, node):
        yield "neutron_external_interface", external


def external_device(lab: Lab, node: Node) -> str:
    """Return the NIC that neutron puts into its external bridge on a node; "" without a bridge."""
    if not lab.stack.external_network:
        return EXTERNAL_DEVICE if node in controllers_of(lab) else ""
    nic = node.nic_on(lab.stack.external_network)
    if nic is None and node in controllers_of(lab):
        nic = nic_on(lab, node, lab.stack.external_network)  # raises, and says so
    return nic.device if nic else ""
