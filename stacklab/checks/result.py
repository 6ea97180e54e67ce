"""What a check is, and what came of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

_CAUSE = "cause: "  # how evidence begins that has one
HOST = "host"  # who does it, where no node does


class Layer(StrEnum):
    """What a check is about; the word for `--layer`."""

    NODES = "nodes"  # each node is as declared
    PAIRS = "pairs"  # each node reaches each other on every network they share
    ISOLATION = "isolation"  # what must not be reached is not
    OUTSIDE = "outside"  # what a stack needs of the world is reached, or nothing of it
    IMPAIRMENTS = "impairments"  # declared delay, loss and rate are there
    CUSTOM = "custom"  # what the spec's `checks: custom:` lists
    SERVICES = "services"  # the cloud's services run
    CLOUD = "cloud"  # the cloud does its work


class CheckKind(StrEnum):
    """What is tried."""

    STATE = "state"  # the node's domain runs
    LOGIN = "login"  # host to node, ssh
    USER = "user"  # the session is the declared user's, with sudo
    HOSTNAME = "hostname"  # the node goes by its own name
    UPTIME = "uptime"  # since when, and that it hasn't booted again since
    CPUS = "cpus"
    MEMORY = "memory"
    DISK = "disk"  # the virtual disk has its declared size
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
    HOST_APART = "host-apart"  # the host has no way to the network
    DNS = "dns"
    REACH = "reach"  # something outside answers
    CLOSED = "closed"  # nothing outside does
    DELAY = "delay"
    LOSS = "loss"
    RATE = "rate"
    COMMAND = "command"
    TCP = "tcp"
    HTTP = "http"
    SERVICE = "service"
    CLOUD = "cloud"

    @property
    def layer(self) -> Layer:
        """What it is about."""
        return _LAYERS[self]


_LAYERS = {
    kind: layer
    for layer, kinds in (
        (
            Layer.NODES,
            "state login user hostname uptime cpus memory disk root swap nic routes clock",
        ),
        (Layer.PAIRS, "ping mtu source port name ssh"),
        (Layer.ISOLATION, "separate no-transit host-apart"),
        (Layer.OUTSIDE, "dns reach closed"),
        (Layer.IMPAIRMENTS, "delay loss rate"),
        (Layer.CUSTOM, "command tcp http"),
        (Layer.SERVICES, "service"),
        (Layer.CLOUD, "cloud"),
    )
    for kind in map(CheckKind, kinds.split())
}


class CheckStatus(StrEnum):
    """How it ended: `failed` is an answer, `error` says that there was none."""

    PASSED = "passed"
    WARNED = "warned"  # not as it should be, and not the lab's fault
    FAILED = "failed"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that must hold: `node` does it, to `target` at `address`, out of its own `device`.

    What does not apply is "". `subject` tells checks of one kind apart that share the
    rest: a URL, a custom check's name.
    """

    kind: CheckKind
    node: str
    target: str = ""
    network: str = ""
    address: str = ""
    device: str = ""
    subject: str = ""

    @property
    def title(self) -> str:
        """The check in one line, the same in every report."""
        if self.kind is CheckKind.LOGIN:
            return f"host -> {self.node} {self.address} ({self.network}): login"
        to = (
            f" -> {self.target} {self.address}".rstrip()
            if self.target not in ("", self.node)
            else ""
        )
        if not to and self.address:
            to = f" {self.address}"
        device = f" {self.device}" if self.device else ""
        network = f" ({self.network})" if self.network else ""
        subject = f" {self.subject}" if self.subject else ""
        return f"{self.node}{device}{to}{network}: {self.kind}{subject}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """A check with its outcome.

    `command` is what to type again on the node and `output` what it wrote; of a check
    that passed they may be "". `evidence` is what was found out about a failure.
    """

    check: Check
    status: CheckStatus
    detail: str
    elapsed_s: float = 0.0
    command: str = ""
    output: str = ""
    rtt_ms: float | None = None  # of a ping: its slowest round trip
    evidence: str = ""

    @property
    def is_passed(self) -> bool:
        """Whether it holds, be it with a warning."""
        return self.status in (CheckStatus.PASSED, CheckStatus.WARNED)

    @property
    def cause(self) -> str:
        """Why it did not pass, in the same words for all that did not for the same reason; "" if nobody knows."""
        head = self.evidence.partition("\n")[0]
        return head.removeprefix(_CAUSE) if head.startswith(_CAUSE) and not self.is_passed else ""

    @property
    def clues(self) -> str:
        """The evidence without the cause."""
        return self.evidence.partition("\n")[2] if self.cause else self.evidence

    def explained(self, cause: str, clues: Iterable[str]) -> CheckResult:
        """The same with its cause, "" for none, and what else was found out; if that is nothing, as it was."""
        lines = [*([_CAUSE + cause] if cause else []), *clues]
        return dataclasses.replace(self, evidence="\n".join(lines) or self.evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which checks to try; an empty set is all of them. A login is always among them."""

    layers: frozenset[Layer] = frozenset()
    nodes: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()

    def wants(self, check: Check) -> bool:
        """Whether a check is to be tried.

        A node's name selects what it does and what is done to it; a network's selects
        what happens on it.
        """
        if self.layers and check.kind.layer not in self.layers:
            return False
        if self.nodes and not self.nodes & {check.node, check.target}:
            return False
        return not self.networks or check.network in self.networks


ALL = Selection()
