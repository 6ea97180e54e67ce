"""Which cloud a lab's nodes get, and how: the spec's `stack:`, resolved."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network


class Role(StrEnum):
    """What a node is in its cloud; installers give it its services by this."""

    CONTROLLER = "controller"
    COMPUTE = "compute"
    NODE = "node"


class Installer(StrEnum):
    """Which installer's answer files a lab carries: each but NONE is a folder in `installers/`."""

    NONE = "none"  # nodes alone
    CONTRAIL = "contrail"  # contrail-installer and DevStack
    OPENSDN = "opensdn"  # tf-ansible-deployer, with kolla
    DEVSTACK = "devstack"
    PACKSTACK = "packstack"
    KOLLA = "kolla"


NO_INSTALLER = Installer.NONE


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
    authorities: tuple[
        tuple[str, str], ...
    ] = ()  # name and PEM of what it trusts beside its distribution's


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
    fixed_range: IPv4Network | None = (
        None  # the tenants' first network; None: the installer's default
    )
    floating_range: IPv4Network | None = None
    overcommit: Overcommit = Overcommit()
    glance: Glance = Glance()
    volume_types: tuple[str, ...] = ()
    plugins: tuple[Plugin, ...] = ()
    git_base: str = ""  # "": the release's
    refs: tuple[
        tuple[str, str], ...
    ] = ()  # project, and a branch, a tag or a Gerrit change (refs/changes/...)
    lines: tuple[Lines, ...] = ()  # of localrc
    post_config: tuple[ConfigOption, ...] = ()
    answers: tuple[
        tuple[str, str], ...
    ] = ()  # keys of answers.txt, globals.yml or contrail_configuration
    mirrors: Mirrors = Mirrors()
    proxy: Proxy = Proxy()
    secrets: tuple[SecretSource, ...] = ()
    dev_mode: tuple[str, ...] = ()  # kolla: services whose source is mounted into their containers
    kolla_mode: str = ""  # opensdn: patched or vanilla
    openstack: str = ""  # opensdn: OpenStack's release

    def lines_for(self, role: Role) -> tuple[str, ...]:
        """The further lines of a node's localrc: those for all, then its role's, whichever the spec has first."""
        return tuple(
            line
            for word in ("all", role)
            for each in self.lines
            if each.role == word
            for line in each.lines
        )

    def post_config_for(self, role: Role) -> tuple[ConfigOption, ...]:
        """The options of a node's post-config: all's, then its role's; of two for one key the later counts."""
        return tuple(
            option for word in ("all", role) for option in self.post_config if option.role == word
        )
