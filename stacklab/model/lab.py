"""A lab with every question answered: its nodes, NICs and networks."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

from stacklab.model.checks import CheckPolicy
from stacklab.model.stack import NO_INSTALLER, Role, Stack

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
            raise ValueError(f"{text!r} is not a size")
        number, unit = match.groups()
        mib = float(number) * _MIB_PER[unit]
        if mib != int(mib) or mib <= 0:
            raise ValueError(f"{text!r} is not a whole, positive number of MiB")
        return cls(int(mib))

    @property
    def gib(self) -> float:
        """Return the same amount in GiB."""
        return self.mib / 1024

    @property
    def bytes(self) -> int:
        """Return the same amount in bytes."""
        return self.mib * 1024 * 1024

    def __str__(self) -> str:
        if self.mib % 1024 == 0:
            return f"{self.mib // 1024}GiB"
        return f"{self.mib}MiB"


class NetworkMode(StrEnum):
    """Ways to connect a network with the world beyond its nodes."""

    NAT = "nat"  # reaches outside through the host
    ISOLATED = "isolated"  # host and nodes only
    BRIDGED = "bridged"  # a bridge that the host already has; we never make or remove it
    MACVTAP = "macvtap"  # an interface of the host's, which VMs share by their MACs


class NetworkStyle(StrEnum):
    """Kinds of files in which a system finds its addresses."""

    NETWORKD = "networkd"
    IFUPDOWN = "ifupdown"
    IFCFG = "ifcfg"


class NodeKind(StrEnum):
    """What a node is on its host."""

    VM = "vm"
    CONTAINER = "container"  # shares the host's kernel, processors and clock


class DiskBus(StrEnum):
    """Ways in which a disk is connected to its node."""

    VIRTIO = "virtio"
    SCSI = "scsi"
    SATA = "sata"
    IDE = "ide"


class Checkpoint(StrEnum):
    """When a snapshot of a lab is made without being asked for."""

    PRISTINE = "pristine"  # when lab.up has made and checked it all
    NODES = "nodes"  # when its nodes have passed their checks
    STAGES = "stages"  # after each stage of its installer


@dataclass(frozen=True, slots=True, kw_only=True)
class Impairment:
    """Harm that a NIC does to the packets that it sends (tc netem): one way only."""

    delay_ms: float = 0.0
    loss_percent: float = 0.0
    rate_kbit: int = 0  # 0: as fast as it goes

    def __bool__(self) -> bool:
        return self != NO_IMPAIRMENT


NO_IMPAIRMENT = Impairment()


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A segment with an address range.

    `bridge` is its name on the host (<= 15 characters): of mode macvtap, the interface's.
    """

    name: str
    cidr: IPv4Network
    mode: NetworkMode
    mtu: int
    bridge: str
    has_host: bool = True  # False: the host does not have an address there, nor a way in
    # True: its nodes reach whatever listens on the host, at any of the host's addresses.
    opens_host: bool = False

    @property
    def host_address(self) -> IPv4Address:
        """Return the host's own address on it: the gateway, if the mode is nat."""
        return self.cidr[1]

    @property
    def is_made_by_us(self) -> bool:
        """Return True if it is ours to make and to remove; others are the host's own."""
        return self.mode in (NetworkMode.NAT, NetworkMode.ISOLATED)

    @property
    def hides_host(self) -> bool:
        """Return True if we make it, and the host lacks an address there."""
        return self.is_made_by_us and not self.has_host

    @property
    def keeps_host_closed(self) -> bool:
        """Return True if the host has an address there, and its services are not for the nodes."""
        return self.is_made_by_us and self.has_host and not self.opens_host


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
class Disk:
    """A disk that a VM has beside the one it boots from; it is empty at first."""

    name: str  # names its file; of a shared one, the same on all nodes that have it
    size: Size
    bus: DiskBus = DiskBus.VIRTIO
    serial: str  # by which the node knows it
    is_shared: bool = False

    def is_shared_as(self, other: Disk) -> bool:
        """Return True if it is the very disk that another node has."""
        return self.is_shared and other.is_shared and self.name == other.name

    def __str__(self) -> str:
        shared = ", shared" if self.is_shared else ""
        return f"{self.name} ({self.size}, {self.bus}{shared})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A machine that the spec declares; the first NIC is the one the host logs in by."""

    name: str
    role: Role
    cpus: int
    memory: Size
    disk: Size
    nics: tuple[NIC, ...]
    disks: tuple[Disk, ...] = ()  # beside `disk`
    kind: NodeKind = NodeKind.VM
    # Of a container: False if its root is an ordinary user of the host. A VM's never is the host's.
    is_privileged: bool = True

    @property
    def access(self) -> NIC:
        """Return the NIC by which the host reaches it."""
        return self.nics[0]

    def nic_on(self, network: str) -> NIC | None:
        """Return its NIC on that network, if it has one."""
        for nic in self.nics:
            if nic.network == network:
                return nic
        return None


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
    checkpoints: tuple[Checkpoint, ...] | None = None  # None: what suits the kind of its nodes

    def has_checkpoint(self, checkpoint: Checkpoint) -> bool:
        """Return True if a snapshot is to be made then, without being asked for."""
        if self.checkpoints is not None:
            return checkpoint in self.checkpoints
        # Containers are made anew in seconds.
        has_only_vms = all(node.kind is NodeKind.VM for node in self.nodes)
        return checkpoint is Checkpoint.PRISTINE and has_only_vms

    def network(self, name: str) -> Network:
        """Return the network of that name; raises KeyError."""
        return {network.name: network for network in self.networks}[name]

    def node(self, name: str) -> Node:
        """Return the node of that name; raises KeyError."""
        return {node.name: node for node in self.nodes}[name]

    @property
    def controller(self) -> Node:
        """Return the first controller, or the first node if none is a controller."""
        for node in self.nodes:
            if node.role is Role.CONTROLLER:
                return node
        return self.nodes[0]

    @property
    def computes(self) -> tuple[Node, ...]:
        """Return the nodes whose role is compute."""
        return tuple(node for node in self.nodes if node.role is Role.COMPUTE)

    @property
    def memory(self) -> Size:
        """Return the memory that all nodes together may use."""
        return Size(sum(node.memory.mib for node in self.nodes))

    def of_kind(self, kind: NodeKind) -> tuple[Node, ...]:
        """Return its nodes of one kind."""
        return tuple(node for node in self.nodes if node.kind is kind)

    def all_as(self, kind: NodeKind) -> Lab:
        """Return the same lab with all its nodes of one kind."""
        nodes = tuple(self._as(node, kind) for node in self.nodes)
        return replace(self, nodes=nodes)

    def _as(self, node: Node, kind: NodeKind) -> Node:
        if node.kind is kind:
            return node
        is_privileged = kind is NodeKind.VM or needs_privilege(self.stack)
        return replace(node, kind=kind, is_privileged=is_privileged)

    def members(self, network: str) -> tuple[tuple[Node, NIC], ...]:
        """Return every node on that network, with its NIC there."""
        members: list[tuple[Node, NIC]] = []
        for node in self.nodes:
            for nic in node.nics:
                if nic.network == network:
                    members.append((node, nic))
        return tuple(members)


def needs_privilege(stack: Stack) -> bool:
    """Return True if a lab's containers must be privileged, where its spec does not say."""
    # An installer sets the host's kernel: modules, sysctls, devices.
    return stack.installer is not NO_INSTALLER


def stable_hex(*parts: str, digits: int) -> str:
    """Return hex digits that depend on `parts` alone: the same on every host, for ever."""
    # No part has a NUL in it, so "ab", "c" and "a", "bc" stay different.
    joined = "\0".join(parts)
    return hashlib.sha256(joined.encode()).hexdigest()[:digits]
