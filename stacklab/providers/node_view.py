"""A node as this host sees it from outside: what a provider's Looker has collected. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from stacklab.model.host_network import HostFirewallRule, Lease, Link, Neighbour, Plug, Route
from stacklab.model.lab import NIC, Node
from stacklab.model.state import NodeState
from stacklab.tools.network.knock import Knock


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEvidence:
    """The cause in a few words ("" if none is likely), and the facts that it rests on."""

    cause: str = ""
    lines: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join(f"  {line}" for line in self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class NICView:
    """A NIC as declared, and its other end on this host; `bridge` is where its tap belongs."""

    nic: NIC
    network: str
    bridge: str
    plug: Plug | None = None
    tap: Link | None = None
    has_bridge: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A node as this host sees it.

    What could not be looked at is None or empty, and `why_not` says why.
    """

    node: Node
    title: str = "node"  # the provider's word and name for it
    state: NodeState | None = None
    reason: str = ""
    nics: tuple[NICView, ...] = ()
    is_looked_at: bool = False  # the interfaces of this host are known
    has_lease: bool = True  # it asks for its first address by DHCP
    leases: tuple[Lease, ...] = ()
    dnsmasq: str = ""
    route: Route | None = None
    neighbour: Neighbour | None = None
    rules: tuple[HostFirewallRule, ...] = ()
    knock: Knock | None = None
    console: tuple[str, ...] = ()
    console_path: Path | None = None
    why_not: tuple[str, ...] = field(default=())

    def on(self, network: str) -> NICView | None:
        """Return its NIC on that network."""
        for nic_view in self.nics:
            if nic_view.nic.network == network:
                return nic_view
        return None

    @property
    def is_known_not_to_run(self) -> bool:
        """Return True if the provider says that it does anything but run."""
        # None: the provider could not be asked, and the node may well run.
        return self.state not in (None, NodeState.RUNNING)

    @property
    def reason_in_brackets(self) -> str:
        """Return the provider's reason for the state as the end of a sentence, or ""."""
        return f" ({self.reason})" if self.reason else ""

    @property
    def arp_mac(self) -> str:
        """Return the MAC that answers ARP for its address; "" if none does, or nobody asked."""
        return self.neighbour.mac if self.neighbour else ""
