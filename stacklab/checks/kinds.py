"""The kinds of check, and what the rest of the house has to know of each: its traits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag, StrEnum, auto


class Layer(StrEnum):
    """The layer that a check is about; the word for `--layer`."""

    NODES = "nodes"  # each node is as declared
    PAIRS = "pairs"  # each node reaches each other on every network they share
    ISOLATION = "isolation"  # what must not be reached is not
    HOST = "host"  # what else is on the host, its services and other labs, is closed to the nodes
    OUTSIDE = "outside"  # a node reaches what its stack needs of the world, or nothing of it
    IMPAIRMENTS = "impairments"  # declared delay, loss and rate are there
    CUSTOM = "custom"  # what the spec's `checks: custom:` lists
    SERVICES = "services"  # the cloud's services run
    CLOUD = "cloud"  # the cloud does its work


class Exposure(Flag):
    """The ways in which a fault can change a check's outcome; `expect.Outage` decides by them."""

    NONE = 0
    PATH = auto()  # it goes to another node and back: a fault on the way cuts it
    ITS_NIC = auto()  # it is about one NIC: only a fault of that NIC counts
    OWN_NICS = auto()  # systems differ in what they do to a node's NICs without a carrier
    OTHER_END = auto()  # a fault at either end may change it
    UNKNOWN_WAY = auto()  # the spec doesn't tell which network it uses: any fault may change it


class ExplainedBy(StrEnum):
    """The thing that has to be looked at again to explain a failure."""

    NODE = "node"  # the node's state alone
    LOGIN = "login"  # the node as this host sees it
    PACKETS = "packets"  # both ends, and the way between them
    OWN_NIC = "own-nic"
    BOTH_NICS = "both-nics"


class Carrier(StrEnum):
    """The packets that a check sends between nodes: firewalls tell these apart."""

    NONE = "none"
    ECHO = "icmp"
    TCP = "tcp"  # to port 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """The properties of a kind: what the mesh, the search for causes and the views ask for."""

    layer: Layer
    needs_session: bool = True  # False: the node itself is not asked
    is_together: bool = False  # judged when all sessions are over, by comparing the nodes
    is_of_vms: bool = False  # of a container it would be the host's, so that it is not expected
    has_own_retries: bool = False  # the node tries again by itself, so its failure is final
    is_on_request: bool = False  # tried only where its layer is asked for by name
    is_typed_here: bool = False  # its command is for this host's shell, whatever node it is about
    exposure: Exposure = Exposure.NONE
    explained_by: ExplainedBy = ExplainedBy.NODE
    carrier: Carrier = Carrier.NONE
    shows_cause: int = 99  # the result with the lowest number is shown for a cause


class CheckKind(StrEnum):
    """The kinds of check: each tries one thing."""

    STATE = "state"  # the node's domain runs
    LOGIN = "login"  # host to node, ssh
    USER = "user"  # the session is the declared user's, with sudo
    HOSTNAME = "hostname"  # the node has its own name
    UPTIME = "uptime"  # since when, and that it hasn't booted again since
    CPUS = "cpus"
    MEMORY = "memory"
    DISK = "disk"  # the virtual disk has its declared size
    FURTHER_DISK = "further-disk"  # the disk of that serial is there, with its declared size
    ROOT = "root"  # the root file system fills the disk, and has room
    SWAP = "swap"
    NIC = "nic"  # device, MAC, address, MTU, up
    ROUTES = "routes"
    CLOCK = "clock"  # the nodes' clocks agree
    PING = "ping"  # node to node, per network
    MTU = "mtu"  # the declared size gets through whole, one byte more does not
    SOURCE = "source"  # out of the NIC on that network
    PORT = "port"  # sshd answers there, and it is that node's
    NAME = "name"  # node resolves node
    SSH = "ssh"  # node to node, as stack
    SEPARATE = "separate"  # no way to a network that the node is not on
    NO_TRANSIT = "no-transit"  # no way out of an isolated network through the host
    HOST_APART = "host-apart"  # the host can not reach the network
    HOST_SERVICES = "host-services"  # what listens on the host is closed to the network's nodes
    OTHER_LABS = "other-labs"  # no way to the nodes of this host's other labs
    DNS = "dns"
    REACH = "reach"  # something outside answers
    CLOSED = "closed"  # nothing outside does
    DELAY = "delay"
    LOSS = "loss"
    RATE = "rate"
    COMMAND = "command"
    TCP = "tcp"
    HTTP = "http"
    SERVICE = "service"  # a unit of systemd
    SERVICES = "services"  # all units whose names fit a pattern
    CLOUD = "cloud"

    @property
    def traits(self) -> Traits:
        """The properties of the kind that the rest of the house asks for."""
        return TRAITS[self]

    @property
    def layer(self) -> Layer:
        """The layer that the kind belongs to."""
        return TRAITS[self].layer


_OF_NODE = Traits(layer=Layer.NODES)
_OF_VM = Traits(layer=Layer.NODES, is_of_vms=True)
_PING = Traits(
    layer=Layer.PAIRS,
    exposure=Exposure.PATH,
    explained_by=ExplainedBy.PACKETS,
    carrier=Carrier.ECHO,
)
_TO_SSHD = Traits(
    layer=Layer.PAIRS,
    exposure=Exposure.PATH,
    explained_by=ExplainedBy.PACKETS,
    carrier=Carrier.TCP,
)
_MEASURED = Traits(
    layer=Layer.IMPAIRMENTS, exposure=Exposure.PATH, explained_by=ExplainedBy.BOTH_NICS
)
_OUTSIDE = Traits(layer=Layer.OUTSIDE, exposure=Exposure.OWN_NICS)

TRAITS: dict[CheckKind, Traits] = {
    CheckKind.STATE: Traits(
        layer=Layer.NODES, needs_session=False, is_together=True, is_typed_here=True, shows_cause=0
    ),
    CheckKind.LOGIN: Traits(
        layer=Layer.NODES, is_typed_here=True, explained_by=ExplainedBy.LOGIN, shows_cause=1
    ),
    CheckKind.USER: _OF_NODE,
    CheckKind.HOSTNAME: _OF_NODE,
    CheckKind.UPTIME: _OF_NODE,
    CheckKind.CPUS: _OF_NODE,
    CheckKind.MEMORY: _OF_VM,
    CheckKind.DISK: _OF_VM,
    CheckKind.FURTHER_DISK: _OF_VM,
    CheckKind.ROOT: _OF_NODE,
    CheckKind.SWAP: _OF_VM,
    CheckKind.NIC: Traits(
        layer=Layer.NODES,
        exposure=Exposure.ITS_NIC | Exposure.OWN_NICS,
        explained_by=ExplainedBy.OWN_NIC,
        shows_cause=2,
    ),
    CheckKind.ROUTES: Traits(
        layer=Layer.NODES,
        exposure=Exposure.OWN_NICS,
        explained_by=ExplainedBy.OWN_NIC,
        shows_cause=3,
    ),
    CheckKind.CLOCK: Traits(layer=Layer.NODES, is_together=True),
    CheckKind.PING: Traits(
        layer=Layer.PAIRS,
        exposure=Exposure.PATH,
        explained_by=ExplainedBy.PACKETS,
        carrier=Carrier.ECHO,
        shows_cause=4,
    ),
    CheckKind.MTU: _PING,
    CheckKind.SOURCE: Traits(
        layer=Layer.PAIRS, exposure=Exposure.OWN_NICS, explained_by=ExplainedBy.PACKETS
    ),
    CheckKind.PORT: _TO_SSHD,
    CheckKind.NAME: Traits(layer=Layer.PAIRS),
    CheckKind.SSH: _TO_SSHD,
    CheckKind.SEPARATE: Traits(
        layer=Layer.ISOLATION, exposure=Exposure.OWN_NICS | Exposure.OTHER_END
    ),
    CheckKind.NO_TRANSIT: Traits(
        layer=Layer.ISOLATION,
        exposure=Exposure.OWN_NICS | Exposure.OTHER_END,
        explained_by=ExplainedBy.OWN_NIC,
    ),
    CheckKind.HOST_APART: Traits(layer=Layer.ISOLATION, needs_session=False, is_typed_here=True),
    CheckKind.HOST_SERVICES: Traits(
        layer=Layer.HOST, exposure=Exposure.ITS_NIC, explained_by=ExplainedBy.OWN_NIC
    ),
    CheckKind.OTHER_LABS: Traits(layer=Layer.HOST, exposure=Exposure.OWN_NICS),
    CheckKind.DNS: _OUTSIDE,
    CheckKind.REACH: _OUTSIDE,
    CheckKind.CLOSED: _OUTSIDE,
    CheckKind.DELAY: _MEASURED,
    CheckKind.LOSS: _MEASURED,
    CheckKind.RATE: Traits(
        layer=Layer.IMPAIRMENTS,
        exposure=Exposure.OTHER_END,
        explained_by=ExplainedBy.BOTH_NICS,
    ),
    CheckKind.COMMAND: Traits(layer=Layer.CUSTOM, has_own_retries=True),
    CheckKind.TCP: Traits(
        layer=Layer.CUSTOM,
        has_own_retries=True,
        exposure=Exposure.OTHER_END | Exposure.UNKNOWN_WAY,
    ),
    CheckKind.HTTP: Traits(
        layer=Layer.CUSTOM,
        has_own_retries=True,
        exposure=Exposure.OTHER_END | Exposure.UNKNOWN_WAY,
    ),
    CheckKind.SERVICE: Traits(layer=Layer.SERVICES, exposure=Exposure.UNKNOWN_WAY),
    # Those of an installer that has not run yet are not there.
    CheckKind.SERVICES: Traits(
        layer=Layer.SERVICES, exposure=Exposure.UNKNOWN_WAY, is_on_request=True
    ),
    CheckKind.CLOUD: Traits(
        layer=Layer.CLOUD,
        needs_session=False,
        is_on_request=True,
        is_typed_here=True,
        exposure=Exposure.UNKNOWN_WAY,
    ),
}
