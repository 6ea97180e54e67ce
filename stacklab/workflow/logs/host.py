"""`lab.logs`, this host's side: what is made of a lab here, by looking only."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from stacklab.errors import LabError
from stacklab.paths import PROJECT, LabPaths
from stacklab.process import Command, Runner, as_root
from stacklab.record import LabRecord
from stacklab.tools import host_net
from stacklab.tools.libvirt import URI
from stacklab.workflow.logs.node import from_whole_line

_LIMIT_S = 10.0
MOST_BYTES = 1024 * 1024  # of one file
_QEMU_LOGS = Path("/var/log/libvirt/qemu")
_DNSMASQ = Path("/var/lib/libvirt/dnsmasq")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Something to take along: `read` returns its text, or raises LabError or OSError."""

    path: str
    title: str
    read: Callable[[], str]
    original: PurePosixPath | None = (
        None  # the file's own name, where that tells what is secret in it
    )


class Host:
    """What a lab has on this host; `why_no_libvirt` is why libvirtd is not asked."""

    def __init__(
        self, runner: Runner, paths: LabPaths, record: LabRecord | None, why_no_libvirt: str
    ) -> None:
        self._runner = runner
        self._paths = paths
        self._record = record
        self._why_no_libvirt = why_no_libvirt

    def sources(self) -> Iterator[Source]:
        """Everything, in the order of the index."""
        yield from self._own_files()
        yield Source(
            path="host/machine.txt", title="this host: kernel, memory, disks", read=self._machine
        )
        if self._record is None:
            return
        for node in self._record.nodes:
            name, domain = node.name, node.domain
            yield self._virsh(
                f"host/domains/{name}.state.txt",
                f"{name}: what its domain does and has used",
                (("domstate", "--reason", domain), ("domstats", domain), ("domiflist", domain)),
            )
            yield self._virsh(
                f"host/domains/{name}.xml", f"{name}: its domain", (("dumpxml", domain),)
            )
            yield self._file(
                f"host/qemu/{name}.log", f"{name}: what QEMU said", _QEMU_LOGS / f"{domain}.log"
            )
        for network in self._record.networks:
            name, libvirt_name = network.name, network.libvirt_name
            yield self._virsh(
                f"host/networks/{name}.xml",
                f"{name}: its network",
                (("net-dumpxml", libvirt_name),),
            )
            yield self._virsh(
                f"host/networks/{name}.leases.txt",
                f"{name}: its leases",
                (("net-info", libvirt_name), ("net-dhcp-leases", libvirt_name)),
            )
            status = _DNSMASQ / f"{network.bridge}.status"
            if _may_be_there(status):  # not where nobody asks by DHCP
                yield self._file(
                    f"host/networks/{name}.dnsmasq.json",
                    f"{name}: leases as dnsmasq keeps them",
                    status,
                )
            yield self._bridge(name, network.bridge)
        yield Source(
            path="host/firewall.txt",
            title="firewall rules that name a bridge of the lab's",
            read=self._firewall,
        )

    def _own_files(self) -> Iterator[Source]:
        paths = self._paths
        yield self._file(
            "host/events.log", "what was done to the lab, and how it ended", paths.events
        )
        older = paths.older_events
        if older.exists():
            yield self._file("host/events.log.1", "the events before those", older)
        yield self._file("host/record.json", "what exists of it on this host", paths.record)
        yield self._file("host/resolved.json", "the lab as it was resolved", paths.resolved)
        yield self._file("host/lab.json", "what Vagrant was told", paths.machines)
        yield self._file("host/vagrant.log", "what Vagrant said", paths.vagrant_log)
        faults = paths.faults
        if faults.exists():
            yield self._file("host/faults.json", "faults that lab.fault has made", faults)
        for log in sorted(paths.logs.glob("*.console.log")):
            node = log.name.removesuffix(".console.log")
            yield self._file(f"host/console/{node}.log", f"{node}: its serial console", log)

    def _file(self, path: str, title: str, file: Path) -> Source:
        return Source(
            path=path, title=title, read=lambda: self._tail(file), original=PurePosixPath(file)
        )

    def _virsh(self, path: str, title: str, lines: tuple[tuple[str, ...], ...]) -> Source:
        def read() -> str:
            if self._why_no_libvirt:
                raise LabError(self._why_no_libvirt)
            return "\n".join(self._run(("virsh", "-r", "-q", "-c", URI, *words)) for words in lines)

        return Source(path=path, title=title, read=read)

    def _bridge(self, name: str, bridge: str) -> Source:
        def read() -> str:
            return "\n".join(
                f"$ {' '.join(argv)}\n{self._run(argv)}"
                for argv in (
                    ("ip", "-d", "-s", "link", "show", "dev", bridge),
                    ("ip", "addr", "show", "dev", bridge),
                    ("ip", "-d", "-s", "link", "show", "master", bridge),
                    ("ip", "route", "show", "dev", bridge),
                    ("ip", "neigh", "show", "dev", bridge),
                    ("bridge", "fdb", "show", "br", bridge),
                )
            )

        title = f"{name}: bridge {bridge}, its taps with their counters, routes, neighbours"
        return Source(path=f"host/networks/{name}.bridge.txt", title=title, read=read)

    def _firewall(self) -> str:
        command = host_net.firewall()
        bridges = {network.bridge for network in self._record.networks} if self._record else set()
        text = self._runner.run(command).stdout
        rules = [
            line
            for line in text.splitlines()
            if line.startswith(("*", ":")) or bridges & set(line.split())
        ]
        return "\n".join(rules) + "\n"

    def _machine(self) -> str:
        commands = (
            ("uname", "-a"),
            ("uptime",),
            ("free", "-m"),
            ("df", "-h", str(self._paths.host.root)),
            ("df", "-i", "/"),
            ("virsh", "--version"),
            ("vagrant", "--version"),
            ("qemu-system-x86_64", "--version"),
            ("git", "-C", str(PROJECT), "log", "-1", "--format=%H %cI %s"),
        )
        return "\n".join(f"$ {' '.join(argv)}\n{self._said(argv)}" for argv in commands)

    def _said(self, argv: tuple[str, ...]) -> str:
        try:
            return self._run(argv)
        except LabError as error:
            return f"({error.message.splitlines()[0]})\n"

    def _run(self, argv: tuple[str, ...]) -> str:
        path = f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"
        env = {"PATH": path, "LC_ALL": "C"}
        return self._runner.run(
            Command(argv=argv, what=f"asking {argv[0]}", timeout_s=_LIMIT_S, env=env)
        ).stdout

    def _tail(self, file: Path) -> str:
        """The end of a file, from a whole line on; root's by sudo, where that may be."""
        try:
            with file.open("rb") as stream:
                size = stream.seek(0, 2)
                stream.seek(max(0, size - MOST_BYTES))
                data = stream.read(MOST_BYTES)
        except PermissionError:
            argv = as_root(("tail", "-c", str(MOST_BYTES), str(file)))
            command = Command(argv=argv, what=f"reading {file}", timeout_s=_LIMIT_S)
            text = self._runner.run(command).stdout
            return from_whole_line(text) if len(text.encode()) >= MOST_BYTES else text
        text = data.decode("utf-8", "replace")
        return from_whole_line(text) if size > MOST_BYTES else text


def _may_be_there(file: Path) -> bool:
    try:
        return file.exists()
    except PermissionError:
        return True
