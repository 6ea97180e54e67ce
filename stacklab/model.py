"""A lab with every question answered: frozen values, no defaults left to look up."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(MiB|GiB|TiB)\s*")
_MIB_PER = {"MiB": 1, "GiB": 1024, "TiB": 1024 * 1024}


@dataclass(frozen=True, slots=True, order=True)
class Size:
    """An amount of memory or disk, in whole MiB."""

    mib: int

    @classmethod
    def parse(cls, text: str) -> Size:
        """Read `512MiB`, `2GiB` or `1.5GiB`; raises ValueError for anything else."""
        match = _SIZE.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no size")
        mib = float(match[1]) * _MIB_PER[match[2]]
        if mib != int(mib) or mib <= 0:
            raise ValueError(f"{text!r} is not a whole, positive number of MiB")
        return cls(int(mib))

    @property
    def gib(self) -> float:
        """The same amount in GiB."""
        return self.mib / 1024

    @property
    def bytes(self) -> int:
        """The same amount in bytes."""
        return self.mib * 1024 * 1024

    def __str__(self) -> str:
        return f"{self.mib // 1024}GiB" if self.mib % 1024 == 0 else f"{self.mib}MiB"


class NetworkMode(StrEnum):
    """How a network is connected to the world beyond its nodes."""

    NAT = "nat"  # reaches outside through the host
    ISOLATED = "isolated"  # host and nodes only
    BRIDGED = "bridged"  # a bridge that the host already has; we never make or remove it


class NetworkStyle(StrEnum):
    """How a system is told its addresses: which files it reads."""

    NETWORKD = "networkd"
    IFUPDOWN = "ifupdown"
    IFCFG = "ifcfg"


class Role(StrEnum):
    """What a node is in its cloud; installers give it its services by this."""

    CONTROLLER = "controller"
    COMPUTE = "compute"
    NODE = "node"


class Installer(StrEnum):
    """Which installer's answer files a lab carries."""

    NONE = "none"
    CONTRAIL = "contrail"  # contrail-installer and DevStack
    OPENSDN = "opensdn"  # tf-ansible-deployer, with kolla
    DEVSTACK = "devstack"
    PACKSTACK = "packstack"
    KOLLA = "kolla"


class NetworkingMode(StrEnum):
    """What carries the tenants' networks: nova-network's three managers, or a backend of neutron."""

    FLAT = "flat"
    FLAT_DHCP = "flat-dhcp"
    VLAN = "vlan"
    OVS = "ovs"
    LINUXBRIDGE = "linuxbridge"
    OVN = "ovn"
    VROUTER = "vrouter"

    @property
    def is_nova_network(self) -> bool:
        """Whether nova itself does the networking, not neutron."""
        return self in (NetworkingMode.FLAT, NetworkingMode.FLAT_DHCP, NetworkingMode.VLAN)


class Driver(StrEnum):
    """What nova (or zun) runs its instances on."""

    LIBVIRT = "libvirt"
    DOCKER = "docker"  # nova-docker
    ZUN = "zun"  # containers by zun, VMs by libvirt
    FAKE = "fake"


@dataclass(frozen=True, slots=True, kw_only=True)
class Impairment:
    """What a NIC does to the packets that it sends (tc netem), one way."""

    delay_ms: float = 0.0
    loss_percent: float = 0.0
    rate_kbit: int = 0  # 0: as fast as it goes

    def __bool__(self) -> bool:
        return self != NO_IMPAIRMENT


NO_IMPAIRMENT = Impairment()


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A segment with an address range; `bridge` is its name on the host (<= 15 characters)."""

    name: str
    cidr: IPv4Network
    mode: NetworkMode
    mtu: int
    bridge: str
    has_host: bool = True  # else the host has no address there, and no way in

    @property
    def host_address(self) -> IPv4Address:
        """The host's own address on it (its gateway, when mode is nat)."""
        return self.cidr[1]

    @property
    def is_made_by_us(self) -> bool:
        """Whether it is ours to make and to remove; a bridged one is the host's."""
        return self.mode is not NetworkMode.BRIDGED


@dataclass(frozen=True, slots=True, kw_only=True)
class NIC:
    """A node's end of a network."""

    network: str
    device: str
    address: IPv4Interface
    mac: str
    mtu: int
    impairment: Impairment = NO_IMPAIRMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A VM that the spec declares; the first NIC is the one the host logs in by."""

    name: str
    role: Role
    cpus: int
    memory: Size
    disk: Size
    nics: tuple[NIC, ...]

    @property
    def access(self) -> NIC:
        """The NIC that the host reaches it by."""
        return self.nics[0]

    def nic_on(self, network: str) -> NIC | None:
        """Its NIC on that network, if it has one."""
        return next((nic for nic in self.nics if nic.network == network), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overcommit:
    """How much more than it has a compute may promise; None leaves the release's own default."""

    cpu: float | None = None
    ram: float | None = None
    disk: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """How nova gets images out of glance."""

    direct_copy: bool = False  # nova copies from glance's file system, which it shares
    url_schemes: tuple[str, ...] = ()  # nova downloads by URL of these schemes


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A DevStack plugin; `ref` "" is the release's own branch."""

    name: str
    url: str
    ref: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Further lines of an answer file, for the nodes of one role ("all", "controller", "compute", "node")."""

    role: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigOption:
    """An option that goes into a service's configuration file, for the nodes of one role."""

    role: str
    file: str  # "$NOVA_CONF", or an absolute path
    section: str
    key: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirrors:
    """Where nodes fetch from, where it isn't the usual place; "" is the host's own setting."""

    pip: str = ""
    apt: str = ""
    # The host's own alone:
    git: tuple[tuple[str, str], ...] = ()  # what git takes instead of which beginning of a URL
    authorities: tuple[tuple[str, str], ...] = ()  # name and PEM of what it trusts beside its distribution's


NO_MIRRORS = Mirrors()


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """The nodes' way out, as in the variables of the same names."""

    http: str = ""
    https: str = ""
    no_proxy: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretSource:
    """A secret that the user gives: the name of an environment variable, or of a file."""

    name: str
    env: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Which cloud is to be installed, and how; the networks are names of the lab's.

    HOST_IP is an address on `network`, SERVICE_HOST and the APIs are on
    `api_network`, tenants' traffic is on `data_network`: all the same one if the
    spec says nothing else. `external_network` carries floating addresses ("" for none).
    """

    installer: Installer
    network: str
    api_network: str = ""
    data_network: str = ""
    external_network: str = ""
    release: str = ""
    devstack_branch: str = ""  # contrail's other half
    network_mode: NetworkingMode | None = None  # None: no cloud
    driver: Driver = Driver.LIBVIRT
    fixed_range: IPv4Network | None = None  # the tenants' first network; None: the installer's default
    floating_range: IPv4Network | None = None
    overcommit: Overcommit = Overcommit()
    glance: Glance = Glance()
    volume_types: tuple[str, ...] = ()
    plugins: tuple[Plugin, ...] = ()
    git_base: str = ""  # "": the release's
    refs: tuple[tuple[str, str], ...] = ()  # project, and a branch, a tag or a Gerrit change (refs/changes/...)
    lines: tuple[Lines, ...] = ()  # of localrc
    post_config: tuple[ConfigOption, ...] = ()
    answers: tuple[tuple[str, str], ...] = ()  # keys of answers.txt, globals.yml or contrail_configuration
    mirrors: Mirrors = Mirrors()
    proxy: Proxy = Proxy()
    secrets: tuple[SecretSource, ...] = ()
    dev_mode: tuple[str, ...] = ()  # kolla: services whose source is mounted into their containers
    kolla_mode: str = ""  # opensdn: patched or vanilla
    openstack: str = ""  # opensdn: OpenStack's release

    def lines_for(self, role: Role) -> tuple[str, ...]:
        """The further lines of a node's localrc: those for all, then its role's, whichever the spec has first."""
        return tuple(line for word in ("all", role) for each in self.lines if each.role == word for line in each.lines)

    def post_config_for(self, role: Role) -> tuple[ConfigOption, ...]:
        """The options of a node's post-config: all's, then its role's; of two for one key the later counts."""
        return tuple(option for word in ("all", role) for option in self.post_config if option.role == word)


class CustomKind(StrEnum):
    """What a lab's own check does."""

    COMMAND = "command"  # runs a command
    PORT = "port"  # connects to a TCP port
    HTTP = "http"  # asks for a page


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomCheck:
    """A check that the lab's author wrote: each of `nodes` runs it, on its own."""

    name: str
    kind: CustomKind
    nodes: tuple[str, ...]  # names of nodes, in the lab's order
    command: str = ""  # for the node's shell, as stack
    exit_code: int = 0
    host: str = ""  # of PORT: a node's name or an address; "": the node itself
    port: int = 0
    url: str = ""
    http_status: int = 200
    text: str = ""  # must be in the command's output, or in the page
    retries: int = 0  # after the first try
    interval_s: float = 1.0
    timeout_s: float = 10.0  # of one try
    is_warning: bool = False  # its failing is a warning


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPolicy:
    """How patient the checks are, and which the lab's author added."""

    retries: int
    interval_s: float
    boot_timeout_s: float
    custom: tuple[CustomCheck, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """The whole thing, resolved; `source` is the YAML it came from."""

    name: str
    description: str
    source: Path
    images: tuple[str, ...]  # in order of preference
    networks: tuple[Network, ...]
    nodes: tuple[Node, ...]
    stack: Stack
    checks: CheckPolicy

    def network(self, name: str) -> Network:
        """The network of that name; raises KeyError."""
        return {network.name: network for network in self.networks}[name]

    def node(self, name: str) -> Node:
        """The node of that name; raises KeyError."""
        return {node.name: node for node in self.nodes}[name]

    @property
    def controller(self) -> Node:
        """The first controller; the first node where no role says so."""
        return next((n for n in self.nodes if n.role is Role.CONTROLLER), self.nodes[0])

    @property
    def computes(self) -> tuple[Node, ...]:
        """The nodes whose role is compute."""
        return tuple(n for n in self.nodes if n.role is Role.COMPUTE)

    @property
    def memory(self) -> Size:
        """What all nodes together may use."""
        return Size(sum(n.memory.mib for n in self.nodes))

    def members(self, network: str) -> tuple[tuple[Node, NIC], ...]:
        """Every node on that network, with its NIC there."""
        return tuple((node, nic) for node in self.nodes for nic in node.nics if nic.network == network)

    def name_nic(self, node: Node) -> NIC:
        """The NIC whose address a node's name stands for, on every node.

        The one that the host logs in by; where Kolla installs, that of the APIs: its
        RabbitMQ and its prechecks want a host's name to be its address there.
        """
        if self.stack.installer not in (Installer.KOLLA, Installer.OPENSDN):
            return node.access
        return node.nic_on(self.stack.api_network or self.stack.network) or node.access

    def domain_name(self, node: str) -> str:
        """libvirt's name for a node: `_` is in no lab's and no node's name, so this can't collide."""
        return f"{self.name}_{node}"

    def network_name(self, network: str) -> str:
        """libvirt's name for a network that we make."""
        return f"{self.name}_{network}"


def stable_hex(*parts: str, digits: int) -> str:
    """Hex digits that depend on `parts` alone: the same on every host, for ever."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:digits]
