"""Collect for `lab.logs` what libvirt, QEMU, dnsmasq and Vagrant know of a lab."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stacklab.errors import LabError
from stacklab.paths import LabPaths
from stacklab.providers.contract import LogReader, LogSource
from stacklab.providers.libvirt.handles import LibvirtNetwork, LibvirtNode, network_of, node_of
from stacklab.record import LabRecord
from stacklab.tools.host import net as host_net
from stacklab.tools.libvirt.connection import URI

VERSIONS = (
    ("virsh", "--version"),
    ("vagrant", "--version"),
    ("qemu-system-x86_64", "--version"),
)
_QEMU_LOGS = Path("/var/log/libvirt/qemu")  # a file for each domain
_DNSMASQ = Path("/var/lib/libvirt/dnsmasq")


class LibvirtLogs:
    """The log sources of one lab; `why_not` is why libvirtd can't be asked, "" if it can."""

    def __init__(self, paths: LabPaths, record: LabRecord, reader: LogReader, why_not: str) -> None:
        self._paths = paths
        self._record = record
        self._reader = reader
        self._why_not = why_not
        self._networks = [network_of(record.name, network) for network in record.networks]

    def sources(self) -> Iterator[LogSource]:
        """Return everything, in the order of the index."""
        if self._record.nodes:  # a lab of containers alone has networks, and no Vagrant
            yield self._reader.file("host/lab.json", "the input of Vagrant", self._paths.machines)
            vagrant_log = self._paths.logs / "vagrant.log"
            yield self._reader.file("host/vagrant.log", "the output of Vagrant", vagrant_log)
        for recorded in self._record.nodes:
            yield from self._node_sources(node_of(self._paths, recorded))
        for network in self._networks:
            yield from self._network_sources(network)
        yield LogSource(
            path="host/firewall.txt",
            title="firewall rules that name a bridge of the lab's",
            read=self._read_firewall,
        )

    def _node_sources(self, node: LibvirtNode) -> Iterator[LogSource]:
        name = node.name
        domain = node.domain
        yield self._virsh_source(
            f"host/domains/{name}.state.txt",
            title=f"{name}: what its domain does and has used",
            commands=(
                ("domstate", "--reason", domain),
                ("domstats", domain),
                ("domiflist", domain),
            ),
        )
        yield self._virsh_source(
            f"host/domains/{name}.xml",
            title=f"{name}: its domain",
            commands=(("dumpxml", domain),),
        )
        yield self._reader.file(
            f"host/qemu/{name}.log", f"{name}: the output of QEMU", _QEMU_LOGS / f"{domain}.log"
        )

    def _network_sources(self, network: LibvirtNetwork) -> Iterator[LogSource]:
        name = network.name
        libvirt_name = network.libvirt_name
        yield self._virsh_source(
            f"host/networks/{name}.xml",
            title=f"{name}: its network",
            commands=(("net-dumpxml", libvirt_name),),
        )
        yield self._virsh_source(
            f"host/networks/{name}.leases.txt",
            title=f"{name}: its leases",
            commands=(("net-info", libvirt_name), ("net-dhcp-leases", libvirt_name)),
        )
        status = _DNSMASQ / f"{network.bridge}.status"
        if _may_be_there(status):  # dnsmasq makes it with the first lease
            yield self._reader.file(
                f"host/networks/{name}.dnsmasq.json",
                f"{name}: leases as dnsmasq keeps them",
                status,
            )
        yield self._bridge_source(name, network.bridge)

    def _virsh_source(
        self, path: str, *, title: str, commands: tuple[tuple[str, ...], ...]
    ) -> LogSource:
        def read_all() -> str:
            if self._why_not:
                raise LabError(self._why_not)
            # -r: read-only, which libvirtd allows more users, and which can't change anything.
            prefix = ("virsh", "-r", "-q", "-c", URI)
            outputs = [self._reader.run((*prefix, *words)) for words in commands]
            return "\n".join(outputs)

        return LogSource(path=path, title=title, read=read_all)

    def _bridge_source(self, name: str, bridge: str) -> LogSource:
        commands = (
            ("ip", "-d", "-s", "link", "show", "dev", bridge),
            ("ip", "addr", "show", "dev", bridge),
            ("ip", "-d", "-s", "link", "show", "master", bridge),
            ("ip", "route", "show", "dev", bridge),
            ("ip", "neigh", "show", "dev", bridge),
            ("bridge", "fdb", "show", "br", bridge),
        )

        def read_all() -> str:
            outputs = []
            for argv in commands:
                line = " ".join(argv)
                outputs.append(f"$ {line}\n{self._reader.run(argv)}")
            return "\n".join(outputs)

        return LogSource(
            path=f"host/networks/{name}.bridge.txt",
            title=f"{name}: bridge {bridge}, its taps with their counters, routes, neighbours",
            read=read_all,
        )

    def _read_firewall(self) -> str:
        bridges = {network.bridge for network in self._networks}
        text = self._reader.run(host_net.firewall().argv)
        rules = []
        for line in text.splitlines():
            # Names of tables and chains are needed to understand the rules below them.
            is_head = line.startswith(("*", ":"))
            names_a_bridge = not bridges.isdisjoint(line.split())
            if is_head or names_a_bridge:
                rules.append(line)
        return "\n".join(rules) + "\n"


def _may_be_there(file: Path) -> bool:
    """Return True unless it is known that a file does not exist."""
    try:
        return file.exists()
    except PermissionError:
        # Only root may look into the directory: the reader will ask by sudo.
        return True
