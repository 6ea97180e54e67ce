"""Look at libvirt's nodes from this host, to find out why one does not answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from stacklab.errors import LabError, ProviderError
from stacklab.model.host_network import Lease, Plug, Route, Snapshot
from stacklab.model.lab import NIC, Node
from stacklab.model.state import NodeState
from stacklab.paths import LabPaths
from stacklab.process.command import Command, Runner
from stacklab.providers.evidence import cause, lines
from stacklab.providers.libvirt.handles import LibvirtNetwork, domain_name, network_of, node_of
from stacklab.providers.node_view import NICView, NodeEvidence, View
from stacklab.record import LabRecord
from stacklab.tools.console import tail
from stacklab.tools.host import net as host_net
from stacklab.tools.libvirt.domains import Libvirt
from stacklab.tools.network import knock
from stacklab.tools.network.knock import Knock

_RUN = Path("/run/libvirt/network")
_DNSMASQ = Path("/var/lib/libvirt/dnsmasq")
_LOOKS_AT_ONCE = 3  # links, neighbours, firewall


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainFacts:
    """A node as libvirtd knows it; `plugs` is None where libvirtd can't be asked."""

    state: NodeState | None = None
    reason: str = ""
    plugs: tuple[Plug, ...] | None = None
    leases: tuple[Lease, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Printed:
    """Output of a command that looks at this host, and why it failed, "" if it did not."""

    text: str = ""
    why_not: str = ""


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
        commands = (host_net.links(), host_net.neighbours(), host_net.firewall())
        with ThreadPoolExecutor(max_workers=_LOOKS_AT_ONCE) as pool:
            links, neighbours, rules = pool.map(self._run_command, commands)
        reasons = [printed.why_not for printed in (links, neighbours, rules)]
        return Snapshot(
            links=host_net.parse_links(links.text),
            neighbours=host_net.parse_neighbours(neighbours.text),
            rules=host_net.parse_rules(rules.text),
            why_not=tuple(reason for reason in reasons if reason),
        )

    def view(
        self, node: Node, snapshot: Snapshot | None = None, *, is_knocking: bool = True
    ) -> View:
        """See Looker.view."""
        address = str(node.access.address.ip)
        # Knocking comes before the snapshot: it makes this host ask by ARP, and the snapshot
        # then has the answer.
        knocked = None
        if is_knocking and self._runner is not None:
            knocked = self._knocker(address)
        snapshot = snapshot or self.snapshot()
        why_not = list(snapshot.why_not)
        networks = self._recorded_networks()
        access = networks.get(node.access.network)
        domain = self.ask_domain(node, access, why_not)
        route = self._ask_route(address, why_not)
        nics = [
            _view_nic(nic, networks.get(nic.network), domain.plugs, snapshot) for nic in node.nics
        ]
        bridge = nics[0].bridge  # of the access NIC, by which the host talks to the node
        console = self._paths.console(node.name)
        return View(
            node=node,
            title=self.title(node),
            state=domain.state,
            has_lease=self.has_leases(node),
            reason=domain.reason,
            nics=tuple(nics),
            is_looked_at=bool(snapshot.links),
            leases=domain.leases,
            dnsmasq=_describe_dnsmasq(access, node.access),
            route=route,
            neighbour=snapshot.neighbour(address),
            rules=snapshot.rules_on(bridge) if bridge else (),
            knock=knocked,
            console=tail(console),
            console_path=console,
            why_not=tuple(why_not),
        )

    def evidence(self, node: Node) -> NodeEvidence:
        """See Looker.evidence."""
        view = self.view(node)
        likely = cause(view)
        return NodeEvidence(
            cause="" if likely is None else likely.text,
            lines=tuple(lines(view)),
        )

    def title(self, node: Node) -> str:
        """Return what the node is called on this host."""
        name = node.name
        if self._record.node(node.name) is not None:
            name = domain_name(self._record.name, node.name)
        return f"domain {name}"

    def has_leases(self, node: Node) -> bool:
        """Return True if the node asks for its first address by DHCP."""
        return True

    def _recorded_networks(self) -> Mapping[str, LibvirtNetwork]:
        return {
            network.name: network_of(self._record.name, network)
            for network in self._record.networks
        }

    def _run_command(self, command: Command) -> _Printed:
        assert self._runner is not None
        try:
            result = self._runner.run(command)
        except LabError as error:
            first_line = error.message.splitlines()[0]
            return _Printed(why_not=f"{command.what} failed: {first_line}")
        return _Printed(text=result.stdout)

    def _ask_route(self, address: str, why_not: list[str]) -> Route | None:
        """Ask this host for its route; adds to `why_not` what keeps it from answering."""
        if self._runner is None:
            return None
        printed = self._run_command(host_net.route(address))
        if printed.why_not:
            why_not.append(printed.why_not)
        return host_net.parse_route(printed.text)

    def ask_domain(
        self, node: Node, access: LibvirtNetwork | None, why_not: list[str]
    ) -> DomainFacts:
        """Ask libvirtd about a node; adds to `why_not` what keeps it from answering."""
        recorded = self._record.node(node.name)
        if recorded is None:
            why_not.append(f"{node.name} is not on record")
            return DomainFacts()
        if self._libvirt is None:
            why_not.append(self._why_no_libvirt)
            return DomainFacts()
        uuid = node_of(self._paths, recorded).uuid
        try:
            state = self._libvirt.state(uuid)
            reason = self._libvirt.why_in_state(uuid)
            xml = self._libvirt.domain_xml(uuid)
            leases = self._libvirt.leases(access.libvirt_name) if access else ()
        except ProviderError as error:
            # What it answered before is dropped: half a domain would look like a broken one.
            why_not.append(error.message)
            return DomainFacts()
        return DomainFacts(
            state=state,
            reason=reason,
            plugs=host_net.parse_plugs(xml) if xml else (),
            leases=tuple(lease for lease in leases if _is_lease_of(lease, node.access)),
        )


def _is_lease_of(lease: Lease, nic: NIC) -> bool:
    """Return True for a NIC's own lease, and for another machine's of its address."""
    return lease.mac == nic.mac or lease.address == str(nic.address.ip)


def _view_nic(
    nic: NIC, network: LibvirtNetwork | None, plugs: tuple[Plug, ...] | None, snapshot: Snapshot
) -> NICView:
    if plugs is None:
        # Without libvirtd the tap is found by its MAC: the NIC's, with fe as its first byte.
        tap = snapshot.tap_of(nic.mac)
        tap_name = tap.name if tap else ""
        plug: Plug | None = Plug(mac=nic.mac, network="", bridge="", tap=tap_name, is_linked=True)
    else:
        plug = _find_plug(plugs, nic.mac)
        tap = snapshot.links.get(plug.tap) if plug and plug.tap else None
    bridge = plug.bridge if plug else ""
    name = bridge or nic.network
    if network is not None:
        # The record knows better: it names the bridge of a domain that is off, too.
        bridge = network.bridge
        name = network.libvirt_name
    link = snapshot.links.get(bridge)
    return NICView(
        nic=nic,
        network=name,
        bridge=bridge,
        plug=plug,
        tap=tap,
        # A bridge that could not be looked at is taken for one that is there.
        has_bridge=link.is_up if link else not snapshot.links,
    )


def _find_plug(plugs: tuple[Plug, ...], mac: str) -> Plug | None:
    for plug in plugs:
        if plug.mac == mac:
            return plug
    return None


def _describe_dnsmasq(network: LibvirtNetwork | None, nic: NIC) -> str:
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
    runs = "runs"
    # A pid file outlives a dnsmasq that was killed.
    if not Path(f"/proc/{pid}").exists():
        runs = f"does not run any more (process {pid})"
    # A line of the hostsfile: MAC,ADDRESS,NAME,LEASE-TIME
    for line in hosts.splitlines():
        fields = line.split(",")
        if line.startswith(nic.mac) and len(fields) > 1:
            return f"{runs}, keeps {fields[1]} for {nic.mac}"
    return f"{runs}, does not know {nic.mac}"
