"""Look at libvirt's nodes from this host, to find out why one does not answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from stacklab.errors import LabError, ProviderError
from stacklab.model.host_network import Lease, Plug, Snapshot
from stacklab.model.lab import NIC, Node
from stacklab.model.state import NodeState
from stacklab.paths import LabPaths
from stacklab.process import Command, Runner
from stacklab.providers.evidence import NICView, NodeEvidence, View, cause, lines
from stacklab.providers.libvirt.handles import LibvirtNetwork, domain_name, network_of, node_of
from stacklab.record import LabRecord
from stacklab.tools import knock
from stacklab.tools.console import tail
from stacklab.tools.host import net as host_net
from stacklab.tools.knock import Knock
from stacklab.tools.libvirt import Libvirt

_RUN = Path("/run/libvirt/network")
_DNSMASQ = Path("/var/lib/libvirt/dnsmasq")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Domain:
    """A node as libvirtd knows it; `plugs` is None where libvirtd can't be asked."""

    state: NodeState | None = None
    reason: str = ""
    plugs: tuple[Plug, ...] | None = None
    leases: tuple[Lease, ...] = ()


class LibvirtLooker:
    """See stacklab.providers.contract.Looker.

    Either of `libvirt` and `runner` may be None: what it would tell is left out.
    """

    def __init__(
        self,
        libvirt: Libvirt | None,
        runner: Runner | None,
        paths: LabPaths,
        record: LabRecord,
        *,
        why_no_libvirt: str = "libvirtd does not answer",
        knocker: Callable[[str], Knock] | None = None,
    ) -> None:
        self._libvirt = libvirt
        self._runner = runner
        self._paths = paths
        self._record = record
        self._why_no_libvirt = why_no_libvirt
        self._knocker = knocker or knock.knock

    def snapshot(self) -> Snapshot:
        """See Looker.snapshot."""
        if self._runner is None:
            return Snapshot()
        with ThreadPoolExecutor(max_workers=3) as pool:
            commands = (host_net.links(), host_net.neighbours(), host_net.firewall())
            links, neighbours, rules = pool.map(self._run, commands)
        return Snapshot(
            links=host_net.parse_links(links[0]),
            neighbours=host_net.parse_neighbours(neighbours[0]),
            rules=host_net.parse_rules(rules[0]),
            why_not=tuple(why for _, why in (links, neighbours, rules) if why),
        )

    def view(
        self, node: Node, snapshot: Snapshot | None = None, *, is_knocking: bool = True
    ) -> View:
        """See Looker.view."""
        address = str(node.access.address.ip)
        # Knocking comes before the snapshot: it makes this host ask by ARP, and the snapshot
        # then has the answer.
        knocked = self._knocker(address) if is_knocking and self._runner is not None else None
        snapshot = snapshot or self.snapshot()
        networks = self._networks()
        access = networks.get(node.access.network)
        why_not = list(snapshot.why_not)
        domain = self._domain(node, access, why_not)
        route = None
        if self._runner is not None:
            text, why = self._run(host_net.route(address))
            route = host_net.parse_route(text)
            why_not += [why] if why else []
        nics = tuple(
            _nic_view(nic, networks.get(nic.network), domain.plugs, snapshot) for nic in node.nics
        )
        console = self._paths.console(node.name)
        return View(
            node=node,
            title=self._title(node),
            state=domain.state,
            reason=domain.reason,
            nics=nics,
            is_looked_at=bool(snapshot.links),
            leases=domain.leases,
            dnsmasq=_dnsmasq(access, node.access),
            route=route,
            neighbour=snapshot.neighbour(address),
            rules=snapshot.rules_on(nics[0].bridge) if nics[0].bridge else (),
            knock=knocked,
            console=tail(console),
            console_path=console,
            why_not=tuple(why_not),
        )

    def evidence(self, node: Node) -> NodeEvidence:
        """See Looker.evidence."""
        view = self.view(node)
        return NodeEvidence(cause=str(cause(view) or ""), lines=tuple(lines(view)))

    def _title(self, node: Node) -> str:
        if self._record.node(node.name) is None:
            return f"domain {node.name}"
        return f"domain {domain_name(self._record.name, node.name)}"

    def _networks(self) -> Mapping[str, LibvirtNetwork]:
        return {
            network.name: network_of(self._record.name, network)
            for network in self._record.networks
        }

    def _run(self, command: Command) -> tuple[str, str]:
        """Return what a command printed, and why it failed."""
        assert self._runner is not None
        try:
            return self._runner.run(command).stdout, ""
        except LabError as error:
            return "", f"{command.what} failed: {error.message.splitlines()[0]}"

    def _domain(self, node: Node, access: LibvirtNetwork | None, why_not: list[str]) -> _Domain:
        """Ask libvirtd about a node; adds to `why_not` what keeps it from answering."""
        recorded = self._record.node(node.name)
        if recorded is None:
            why_not.append(f"{node.name} is not on record")
            return _Domain()
        if self._libvirt is None:
            why_not.append(self._why_no_libvirt)
            return _Domain()
        uuid = node_of(self._paths, recorded).uuid
        try:
            state = self._libvirt.state(uuid)
            reason = self._libvirt.why_in_state(uuid)
            xml = self._libvirt.domain_xml(uuid)
            leases = self._libvirt.leases(access.libvirt_name) if access else ()
        except ProviderError as error:
            why_not.append(error.message)
            return _Domain()
        return _Domain(
            state=state,
            reason=reason,
            plugs=host_net.parse_plugs(xml) if xml else (),
            leases=tuple(lease for lease in leases if _is_for(lease, node.access)),
        )


def _is_for(lease: Lease, nic: NIC) -> bool:
    return lease.mac == nic.mac or lease.address == str(nic.address.ip)


def _nic_view(
    nic: NIC, network: LibvirtNetwork | None, plugs: tuple[Plug, ...] | None, snapshot: Snapshot
) -> NICView:
    plug = next((plug for plug in plugs or () if plug.mac == nic.mac), None)
    if plugs is None:
        # Without libvirtd the tap is found by its MAC: the NIC's, with fe as its first byte.
        tap = snapshot.tap_of(nic.mac)
        plug = Plug(mac=nic.mac, network="", bridge="", tap=tap.name if tap else "", is_linked=True)
    else:
        tap = snapshot.links.get(plug.tap) if plug and plug.tap else None
    bridge = plug.bridge if plug else ""
    name = bridge or nic.network
    if network is not None:
        bridge, name = network.bridge, network.libvirt_name
    link = snapshot.links.get(bridge)
    has_bridge = link.is_up if link else not snapshot.links
    return NICView(nic=nic, network=name, bridge=bridge, plug=plug, tap=tap, has_bridge=has_bridge)


def _dnsmasq(network: LibvirtNetwork | None, nic: NIC) -> str:
    """Return whether a network's dnsmasq runs, and the address that it keeps for a NIC.

    "" where its files can't be read.
    """
    if network is None:
        return ""
    try:
        pid = int((_RUN / f"{network.libvirt_name}.pid").read_text())
        hosts = (_DNSMASQ / f"{network.libvirt_name}.hostsfile").read_text()
    except (OSError, ValueError):
        return ""
    runs = "runs" if Path(f"/proc/{pid}").exists() else f"does not run any more (process {pid})"
    for line in hosts.splitlines():
        fields = line.split(",")
        if line.startswith(nic.mac) and len(fields) > 1:
            return f"{runs}, keeps {fields[1]} for {nic.mac}"
    return f"{runs}, does not know {nic.mac}"
