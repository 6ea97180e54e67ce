"""Which cloud a lab's nodes get, and how: the spec's `stack:`, resolved."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network


class Role(StrEnum):
    """The part of a node in its cloud; installers choose its services by it."""

    CONTROLLER = "controller"
    COMPUTE = "compute"
    NODE = "node"


class Installer(StrEnum):
    """The installer whose answer files a lab carries: a folder in `installers/`, but for NONE."""

    NONE = "none"  # nodes alone
    CONTRAIL = "contrail"  # contrail-installer and DevStack
    OPENSDN = "opensdn"  # tf-ansible-deployer, with kolla
    DEVSTACK = "devstack"
    PACKSTACK = "packstack"
    KOLLA = "kolla"
    DEBIAN = "debian"  # OpenStack from Debian's own packages, baked into an image


NO_INSTALLER = Installer.NONE


class NetworkingMode(StrEnum):
    """The carrier of the tenants' networks: a manager of nova-network, or a backend of neutron."""

    FLAT = "flat"
    FLAT_DHCP = "flat-dhcp"
    VLAN = "vlan"
    OVS = "ovs"
    LINUXBRIDGE = "linuxbridge"
    OVN = "ovn"
    VROUTER = "vrouter"

    @property
    def is_nova_network(self) -> bool:
        """Return True if nova itself does the networking, not neutron."""
        return self in (NetworkingMode.FLAT, NetworkingMode.FLAT_DHCP, NetworkingMode.VLAN)


class Driver(StrEnum):
    """The hypervisor or engine on which nova (or zun) runs instances."""

    LIBVIRT = "libvirt"
    DOCKER = "docker"  # nova-docker
    ZUN = "zun"  # containers by zun, VMs by libvirt
    FAKE = "fake"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overcommit:
    """Factors by which a compute may promise more than it has; None: the release's own default."""

    cpu: float | None = None
    ram: float | None = None
    disk: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """Ways by which nova, or cinder, gets images out of glance, besides its API."""

    direct_copy: bool = False  # copied from glance's file system, which both see
    url_schemes: tuple[str, ...] = ()  # nova downloads by URL of these schemes


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A DevStack plugin; `ref` "" is the release's own branch."""

    name: str
    url: str
    ref: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Further lines of an answer file, for all nodes or those of one role."""

    role: str  # "all", or a Role
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
    """Places to fetch from instead of the usual ones; "" stands for the host's own setting."""

    pip: str = ""
    apt: str = ""
    # A directory of this host, which is served to the nodes, or a URL: OpenStack's projects are
    # below it, each at its path, and so is what DevStack clones from GitHub.
    git_from: str = ""
    # The host's own alone:
    # URLs that git takes instead of other ones, each with the beginning that it replaces.
    git: tuple[tuple[str, str], ...] = ()
    # Name and PEM of each authority that the host trusts beside its distribution's.
    authorities: tuple[tuple[str, str], ...] = ()


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
    """The cloud that is to be installed; its networks are names of the lab's networks.

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
    # The tenants' first network; None: the installer's default.
    fixed_range: IPv4Network | None = None
    floating_range: IPv4Network | None = None
    overcommit: Overcommit = Overcommit()
    glance: Glance = Glance()
    volume_types: tuple[str, ...] = ()
    has_tls: bool = False  # the APIs are reached by HTTPS only
    has_dashboard: bool = False  # horizon
    plugins: tuple[Plugin, ...] = ()
    git_base: str = ""  # "": the release's
    # Projects, each with a branch, a tag or a Gerrit change (refs/changes/...).
    refs: tuple[tuple[str, str], ...] = ()
    lines: tuple[Lines, ...] = ()  # of localrc
    post_config: tuple[ConfigOption, ...] = ()
    # Keys of answers.txt, globals.yml or contrail_configuration, with their values.
    answers: tuple[tuple[str, str], ...] = ()
    mirrors: Mirrors = Mirrors()
    proxy: Proxy = Proxy()
    secrets: tuple[SecretSource, ...] = ()
    dev_mode: tuple[str, ...] = ()  # kolla: services whose source is mounted into their containers
    kolla_mode: str = ""  # opensdn: patched or vanilla
    openstack: str = ""  # opensdn: OpenStack's release
    # Open vSwitch has no kernel module on nodes that are containers: `lab.up` looks at the host.
    lacks_openvswitch: bool = False

    def lines_for(self, role: Role) -> tuple[str, ...]:
        """Return the further lines of a node's localrc: those for all come before its role's."""
        chosen: list[str] = []
        for word in ("all", role):
            for lines in self.lines:
                if lines.role == word:
                    chosen += lines.lines
        return tuple(chosen)

    def post_config_for(self, role: Role) -> tuple[ConfigOption, ...]:
        """Return the options of a node's post-config: of two for one key the later counts."""
        chosen: list[ConfigOption] = []
        for word in ("all", role):
            chosen += [option for option in self.post_config if option.role == word]
        return tuple(chosen)
