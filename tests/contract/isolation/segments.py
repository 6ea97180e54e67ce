"""Network namespaces between which real programs run the scripts of isolation and outside.

`host` routes between three segments as a hypervisor does: net0 and net1 of a lab, and
the world. Node `controller` is on both networks, `compute` on net0 alone.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab.checks.family import Facts, Family, Tried
from stacklab.checks.result import CheckResult
from stacklab.model.lab import Lab, NetworkMode
from stacklab.nodes import protocol
from tests.unit.checks.fake_lab import make_lab

MARK = "stacklab-netns"
PREFIX = f"sl{os.getpid()}"
WORLD = "203.0.113.80"
LOCK = Path("/run/stacklab-transit.lock")
PROGRAMS = ("ip", "iptables", "fping", "flock", "python3", "timeout", "bash", "sysctl")
LISTEN = """\
import selectors, socket, sys
found = selectors.DefaultSelector()
for word in sys.argv[1:]:
    address, port = word.split(":")
    server = socket.create_server((address, int(port)))
    found.register(server, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in found.select():
        key.fileobj.accept()[0].close()
"""


def _why_not() -> str:
    if os.geteuid() != 0:
        return "needs root: network namespaces"
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"not installed: {', '.join(missing)}"
    probe = f"{PREFIX}probe"
    if (
        subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode
        != 0
    ):
        return "network namespaces are not allowed here"
    subprocess.run(["ip", "netns", "del", probe], check=False)
    return ""


WHY_NOT = _why_not()
needs_namespaces = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)


def make_two() -> Lab:
    """net0 is NATted and has both nodes, net1 is isolated and has the controller."""
    lab = make_lab(nodes=("controller", "compute"), cidrs=("10.77.0.0/24", "10.77.1.0/24"))
    nat, isolated = lab.networks
    controller, compute = lab.nodes
    return dataclasses.replace(
        lab,
        networks=(nat, dataclasses.replace(isolated, mode=NetworkMode.ISOLATED)),
        nodes=(controller, dataclasses.replace(compute, nics=compute.nics[:1])),
    )


LAB = make_two()
FACTS = Facts(
    tried={
        "10.77.0.12:22": Tried(address="10.77.0.12"),
        f"{WORLD}:80": Tried(address=WORLD),
    },
    alive=frozenset({"10.77.1.11"}),
)


class Segments:
    """The namespaces and what runs in them; made and removed by `net`."""

    def __init__(self, directory: Path) -> None:
        self.names = {
            word: f"{PREFIX}{word}" for word in ("host", "controller", "compute", "world")
        }
        self.servers: list[subprocess.Popen[str]] = []
        (directory / "sudo").write_text('#!/bin/sh\nshift\nexec "$@"\n')  # -n: we are root
        (directory / "sudo").chmod(0o755)
        self.environment = {**os.environ, "PATH": f"{directory}:{os.environ['PATH']}"}

    def do(self, where: str, line: str) -> str:
        argv = ["ip", "netns", "exec", self.names[where], *line.split()]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
        assert done.returncode == 0, (line, done.stderr)
        return done.stdout

    def make(self) -> None:
        for name in self.names.values():
            subprocess.run(["ip", "netns", "add", name], check=True)
            subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        self.do("host", "sysctl -qw net.ipv4.ip_forward=1")
        self.do("host", "sysctl -qw net.ipv4.icmp_ratelimit=0")
        self.do(
            "host", "sysctl -qw net.ipv6.conf.default.disable_ipv6=1"
        )  # as libvirt does it with its bridges
        bridges = {
            "sl-trio0": "10.77.0.1/24",
            "sl-trio1": "10.77.1.1/24",
            "br-out": "203.0.113.1/24",
        }
        for bridge, address in bridges.items():
            self.do("host", f"ip link add {bridge} type bridge")
            self.do("host", f"ip addr add {address} dev {bridge}")
            self.do("host", f"ip link set {bridge} up")
        self.plug("controller", "eth0", "10.77.0.11/24", "sl-trio0")
        self.plug("controller", "eth1", "10.77.1.11/24", "sl-trio1")
        self.plug("compute", "eth0", "10.77.0.12/24", "sl-trio0")
        self.plug("world", "eth0", f"{WORLD}/24", "br-out")
        for where in ("controller", "compute"):
            self.do(where, "ip route add default via 10.77.0.1")
        self.do(
            "world", "ip route add default via 203.0.113.1"
        )  # no NAT: the world knows its way back
        for rule in self.rules():
            self.do("host", f"iptables -A FORWARD {rule} -j REJECT")
        self.serve("compute", "10.77.0.12:22")
        self.serve("world", f"{WORLD}:80")

    @staticmethod
    def rules() -> tuple[str, str]:
        """What libvirt rejects of an isolated network: what comes from it, and what goes to it."""
        return "-i sl-trio1 ! -o sl-trio1", "-o sl-trio1 ! -i sl-trio1"

    def open_up(self) -> None:
        for rule in self.rules():
            self.do("host", f"iptables -D FORWARD {rule} -j REJECT")

    def plug(self, where: str, device: str, address: str, bridge: str) -> None:
        port = f"{where[:4]}{device}"
        self.do(
            "host", f"ip link add {port} type veth peer name {device} netns {self.names[where]}"
        )
        self.do("host", f"ip link set {port} master {bridge} up")
        for nic in (
            nic
            for node in LAB.nodes
            if node.name == where
            for nic in node.nics
            if nic.device == device
        ):
            self.do(where, f"ip link set {device} address {nic.mac}")
        self.do(where, f"ip addr add {address} dev {device}")
        self.do(where, f"ip link set {device} up")
        self.do(where, f"sysctl -qw net.ipv4.conf.{device}.rp_filter=2")

    def take(self, mac: str = "") -> None:
        """A bridge takes the controller's second NIC, its address and its MAC.

        OVN's br-ex and Contrail's vhost0 do so.
        """
        mac = mac or self.do("controller", "cat /sys/class/net/eth1/address").strip()
        for line in (
            "link add br-ex type bridge",
            f"link set br-ex address {mac}",
            "addr flush dev eth1",
            "link set eth1 master br-ex",
            "addr add 10.77.1.11/24 dev br-ex",
            "link set br-ex up",
        ):
            self.do("controller", f"ip {line}")

    def serve(self, where: str, *places: str) -> None:
        argv = ["ip", "netns", "exec", self.names[where], "python3", "-c", LISTEN, *places]
        server = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        self.servers.append(server)
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"

    def start(self, where: str, script: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.names[where], "sh", "-s"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self.environment,
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(script)
        process.stdin.close()
        process.stdin = None
        return process

    def judged(
        self, family: Family, node: str, facts: Facts = FACTS, lab: Lab = LAB
    ) -> dict[str, CheckResult]:
        """What really comes of a node's checks, by kind and subject."""
        checks = [check for check in family.expected(lab) if check.node == node]
        parts = tuple(family.parts(lab, lab.node(node), checks, facts))
        with self.start(node, protocol.render(parts, MARK)) as process:
            said, _ = process.communicate(timeout=60)
        results = family.judge(lab, checks, protocol.read(said, MARK), facts)
        return {f"{r.check.kind} {r.check.subject}".strip(): r for r in results}

    def policy(self, where: str) -> str:
        tables = subprocess.run(
            ["ip", "-n", self.names[where], "route", "show", "table", "20454"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        return self.do(where, "ip rule").replace("\t", " ") + tables

    def remove(self) -> None:
        for server in self.servers:
            server.kill()
            server.communicate()
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Segments]:
    segments, had_lock = Segments(tmp_path), LOCK.exists()
    try:
        segments.make()
        yield segments
    finally:
        segments.remove()
        if not had_lock:
            LOCK.unlink(missing_ok=True)
