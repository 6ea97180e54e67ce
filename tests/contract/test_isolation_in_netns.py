"""The scripts of isolation and outside, run by real programs between network namespaces, each promise broken once.

`host` routes between three segments as a hypervisor does: net0 and net1 of a lab, and
the world. Node `controller` is on both networks, `compute` on net0 alone.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab.checks import host, plan
from stacklab.checks.explain import scene
from stacklab.checks.family import Facts, Family, Tried
from stacklab.checks.reach import isolation_family, outside_family, outside_places
from stacklab.checks.result import HOST, Check, CheckKind, CheckResult, CheckStatus
from stacklab.model.lab import Lab, NetworkMode
from stacklab.nodes import protocol
from stacklab.process import Command, Result, SubprocessRunner
from tests.unit.checks.fake_lab import late, make_lab

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
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)


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
        """What libvirt rejects of an isolated network: all that comes from it, and all that goes to it."""
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
        """A bridge takes the controller's second NIC, its address and its MAC, as OVN's br-ex and Contrail's vhost0."""
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


def test_an_isolated_network_has_no_way_through_the_host_and_nothing_is_left_of_the_trial(
    net: Segments,
) -> None:
    before = net.policy("controller")
    result = net.judged(isolation_family, "controller")["no-transit"]
    assert (result.status, result.detail) == (
        CheckStatus.PASSED,
        "no way to net0, the outside: connection refused",
    )
    assert net.policy("controller") == before
    assert "20454" not in before


def test_a_host_that_forwards_is_found_out(net: Segments) -> None:
    net.open_up()
    result = net.judged(isolation_family, "controller")["no-transit"]
    assert result.status is CheckStatus.FAILED
    assert result.detail == (
        f"gets through the host (10.77.1.1) to compute 10.77.0.12:22 on net0, {WORLD}:80 outside"
    )
    assert "20454" not in net.policy("controller")


NO_PACKET = "no packet could be sent by way of the host"


@pytest.mark.parametrize(
    ("where", "line", "said"),
    [
        ("controller", "ip link set eth1 down", f"eth1 is down: {NO_PACKET}"),
        ("controller", "ip link del eth1", f"eth1 is not there: {NO_PACKET}"),
        # What nobody sent has no answer: that passed for a refusal, or where the host is off the network for isolation.
        ("host", "ip link set conteth1 down", f"eth1 has no carrier: {NO_PACKET}"),
        ("controller", "ip addr flush dev eth1", f"eth1 lacks its address: {NO_PACKET}"),
    ],
)
@pytest.mark.parametrize("has_host", [True, False])
def test_a_nic_that_can_send_nothing_is_no_isolation_and_is_not_waited_for(
    net: Segments, where: str, line: str, said: str, has_host: bool
) -> None:
    net.do(where, line)
    nat, isolated = LAB.networks
    lab = dataclasses.replace(LAB, networks=(nat, dataclasses.replace(isolated, has_host=has_host)))
    result = net.judged(isolation_family, "controller", lab=lab)["no-transit"]
    assert (result.status, result.detail) == (CheckStatus.ERROR, said)
    assert "silent" not in result.output, "nobody waited for an answer"
    assert "20454" not in net.policy("controller")


def test_a_bridge_that_took_a_nic_s_address_and_mac_is_the_way_to_the_host(net: Segments) -> None:
    """No route could be made out of the NIC, so nothing was tried."""
    net.take()
    result = net.judged(isolation_family, "controller")["no-transit"]
    assert (result.status, result.detail) == (
        CheckStatus.PASSED,
        "no way to net0, the outside: connection refused",
    )
    net.open_up()
    result = net.judged(isolation_family, "controller")["no-transit"]
    assert result.status is CheckStatus.FAILED
    assert f"compute 10.77.0.12:22 on net0, {WORLD}:80 outside" in result.detail
    assert result.command.startswith("sudo ip route add 10.77.0.12 via 10.77.1.1 dev br-ex && ")
    assert "20454" not in net.policy("controller")


@pytest.mark.parametrize(
    ("where", "line", "mac", "said"),
    [
        ("host", "ip link set conteth1 down", "", "eth1 has no carrier"),
        ("controller", "ip link set br-ex down", "", "br-ex is down"),
        ("controller", "ip link set eth1 nomaster", "", "br-ex has no carrier"),
        ("controller", "true", "52:54:00:77:77:77", "eth1 lacks its address"),
    ],
)
def test_a_bridge_that_can_send_nothing_or_is_not_the_nic_s_is_told(
    net: Segments, where: str, line: str, mac: str, said: str
) -> None:
    net.take(mac)
    net.do(where, line)
    result = net.judged(isolation_family, "controller")["no-transit"]
    assert (result.status, result.detail) == (CheckStatus.ERROR, f"{said}: {NO_PACKET}")
    assert "silent" not in result.output


def test_the_bridge_that_took_a_nic_s_address_is_seen_as_its_holder(net: Segments) -> None:
    """What `explain` reads in the words of a real `ip`."""
    asked = tuple(part for part in scene.parts(()) if part.tag in ("explain.link", "explain.addr"))
    nic = LAB.node("controller").nics[1]

    def holder() -> str:
        with net.start("controller", protocol.render(asked, MARK)) as process:
            said, _ = process.communicate(timeout=60)
        return scene.read(protocol.read(said, MARK)).holder(nic)

    assert holder() == "eth1"
    net.take()
    assert holder() == "br-ex"
    net.do("controller", "ip link set br-ex address 52:54:00:77:77:77")
    assert holder() == "eth1", "nobody else's"


def test_what_connects_by_another_way_is_not_let_through_by_the_host(net: Segments) -> None:
    """Of two that did not go by way of the host the second, which answered, was told as open."""
    net.open_up()
    net.do("controller", "ip rule add pref 10 lookup main")
    result = net.judged(isolation_family, "controller")["no-transit"]
    assert re.findall(r"^dial .* (\S+)$", result.output, re.MULTILINE) == ["0", "0"]
    assert (result.status, result.detail) == (CheckStatus.ERROR, NO_PACKET)


def test_what_the_node_s_own_kernel_refuses_was_never_sent(net: Segments) -> None:
    """It passed for the host's refusal: of TCP alone, so that `ip route get` knows nothing of it."""
    net.open_up()
    net.do("controller", "ip rule add pref 10 from 10.77.1.11 ipproto tcp prohibit")
    result = net.judged(isolation_family, "controller")["no-transit"]
    assert result.output.count(" dev eth1 table 20454 ") == 2
    assert f"unsent 10.77.1.11,{WORLD},80 {errno.EACCES}" in result.output
    assert (result.status, result.detail) == (CheckStatus.ERROR, NO_PACKET)


@pytest.mark.parametrize(
    "delay_ms", [0, 2000]
)  # with it the node is waited for until its kernel gives ARP up
def test_a_host_that_does_not_answer_arp_has_refused_nothing(net: Segments, delay_ms: int) -> None:
    """ "No route to host" came from the node's own kernel."""
    net.do("host", "ip link set sl-trio1 down")
    lab = late(LAB, delay_ms)
    result = net.judged(isolation_family, "controller", lab=lab)["no-transit"]
    says = f"the host (10.77.1.1) does not answer ARP: {NO_PACKET}"
    assert (result.status, result.detail) == (CheckStatus.ERROR, says)
    if delay_ms:
        assert f"dial 10.77.1.11,10.77.0.12,22 {errno.EHOSTUNREACH}" in result.output
    nat, isolated = lab.networks
    apart = dataclasses.replace(lab, networks=(nat, dataclasses.replace(isolated, has_host=False)))
    result = net.judged(isolation_family, "controller", lab=apart)["no-transit"]
    assert (result.status, result.detail) == (
        CheckStatus.PASSED,
        "no way to net0, the outside: no answer",
    )


def test_a_host_that_says_host_unreachable_has_refused(net: Segments) -> None:
    net.open_up()
    net.do("host", "iptables -A FORWARD -i sl-trio1 -j REJECT --reject-with icmp-host-prohibited")
    result = net.judged(isolation_family, "controller")["no-transit"]
    assert (result.status, result.detail) == (
        CheckStatus.PASSED,
        "no way to net0, the outside: no route to host",
    )


def test_a_nic_that_is_down_is_in_no_other_one_s_way(net: Segments) -> None:
    """Two isolated networks: of the one nothing can be said, and the other is tried."""
    networks = tuple(
        dataclasses.replace(network, mode=NetworkMode.ISOLATED) for network in LAB.networks
    )
    lab = dataclasses.replace(LAB, networks=networks)
    checks = [
        c
        for c in isolation_family.expected(lab)
        if c.node == "controller" and c.kind is CheckKind.NO_TRANSIT
    ]
    script = protocol.render(
        tuple(isolation_family.parts(lab, lab.node("controller"), checks, FACTS)), MARK
    )

    def details() -> list[str]:
        with net.start("controller", script) as process:
            said, _ = process.communicate(timeout=60)
        return [
            r.detail for r in isolation_family.judge(lab, checks, protocol.read(said, MARK), FACTS)
        ]

    open_ = f"gets through the host (10.77.0.1) to {WORLD}:80 outside"
    assert details() == [open_, "no way to net0, the outside: connection refused"]
    net.do("controller", "ip link set eth1 down")
    assert details() == [open_, f"eth1 is down: {NO_PACKET}"]


def test_packets_that_get_out_and_have_no_way_back_are_told(net: Segments) -> None:
    net.open_up()
    net.do("world", "ip route del default")
    net.do("compute", "ip route del default")
    assert net.judged(isolation_family, "controller")["no-transit"].status is CheckStatus.WARNED


def test_packets_that_get_out_by_one_way_are_told_though_the_other_is_refused(
    net: Segments,
) -> None:
    net.open_up()
    net.do("host", "iptables -A FORWARD -i sl-trio1 -o sl-trio0 -j REJECT")
    net.do("world", "ip route del default")
    result = net.judged(isolation_family, "controller")["no-transit"]
    assert result.status is CheckStatus.WARNED
    assert f"{WORLD}:80 outside" in result.detail


def test_a_line_that_is_cut_leaves_no_rule_behind(net: Segments) -> None:
    net.do("host", "iptables -F FORWARD")
    net.do(
        "host", "iptables -A FORWARD -i sl-trio1 -j DROP"
    )  # silence: the script waits for its time to run out
    checks = [check for check in isolation_family.expected(LAB) if check.node == "controller"]
    script = protocol.render(
        tuple(isolation_family.parts(LAB, LAB.node("controller"), checks, FACTS)), MARK
    )
    process = net.start("controller", script)
    deadline = time.monotonic() + 10
    while "20454" not in net.policy("controller"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=20)
    while "20454" in net.policy("controller"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_a_killed_trial_left_behind_is_in_nobody_s_way_and_goes_with_the_next(
    net: Segments,
) -> None:
    net.do("controller", "ip route add default via 10.77.1.1 dev eth1 table 20454")
    for address in ("10.77.0.12", "192.0.2.1"):
        net.do("controller", f"ip rule add from 10.77.1.11 to {address} pref 20454 lookup 20454")
    assert net.judged(isolation_family, "controller")["no-transit"].status is CheckStatus.PASSED
    assert "20454" not in net.policy("controller")


def test_a_network_that_a_node_is_not_on_is_out_of_reach_until_the_host_lets_it_through(
    net: Segments,
) -> None:
    assert net.judged(isolation_family, "compute")["separate"].status is CheckStatus.PASSED
    net.open_up()
    result = net.judged(isolation_family, "compute")["separate"]
    assert result.status is CheckStatus.FAILED
    assert result.detail == "reached, though it lacks a NIC there: controller 10.77.1.11"


class InHost:
    """A runner whose programs see the host's namespace."""

    def __init__(self, net: Segments) -> None:
        self._net = net

    def run(self, command: Command) -> Result:
        argv = ("ip", "netns", "exec", self._net.names["host"], *command.argv)
        return SubprocessRunner().run(dataclasses.replace(command, argv=argv))


def judge_apart(net: Segments) -> CheckResult:
    apart = Check(kind=CheckKind.HOST_APART, node=HOST, network="net1", device="sl-trio1")
    (result,) = host.judge(plan.FAMILIES, LAB, [apart], InHost(net))
    return result


def test_a_host_with_an_address_or_a_way_is_not_apart(net: Segments) -> None:
    assert judge_apart(net).detail == "the host has 10.77.1.1/24 on sl-trio1"
    net.do("host", "ip addr flush dev sl-trio1")
    assert (judge_apart(net).status, judge_apart(net).detail) == (
        CheckStatus.PASSED,
        "no address, no way to 1 nodes",
    )
    net.do("host", "ip route add 10.77.1.0/24 via 10.77.0.11")
    assert judge_apart(net).detail == "the host reaches controller 10.77.1.11 by sl-trio0"
    net.do("host", "ip link del sl-trio1")
    assert judge_apart(net).status is CheckStatus.ERROR


def make_closed() -> Lab:
    networks = tuple(
        dataclasses.replace(network, mode=NetworkMode.ISOLATED) for network in LAB.networks
    )
    return dataclasses.replace(LAB, networks=networks)


def test_a_closed_node_that_gets_out_is_found_out(net: Segments) -> None:
    tried = {"mirror.invalid:80": Tried(address=WORLD)}
    net.do("host", "iptables -I FORWARD -i sl-trio0 -o br-out -j REJECT")
    results = net.judged(outside_family, "compute", Facts(tried=tried), make_closed())
    assert {key: result.status for key, result in results.items()} == {
        "closed": CheckStatus.PASSED,
        "closed dns": CheckStatus.PASSED,
    }
    net.do("host", "iptables -D FORWARD -i sl-trio0 -o br-out -j REJECT")
    result = net.judged(outside_family, "compute", Facts(tried=tried), make_closed())["closed"]
    assert (result.status, result.detail) == (CheckStatus.FAILED, f"it is not: {WORLD}:80 answers")


def reaching(*places: str) -> Lab:
    """The same lab with its packages from the first place."""
    stack = dataclasses.replace(
        LAB.stack, mirrors=dataclasses.replace(LAB.stack.mirrors, apt=f"http://{places[0]}/debian")
    )
    return dataclasses.replace(LAB, stack=stack)


def test_a_node_reaches_what_it_needs_or_says_how_it_failed(net: Segments) -> None:
    facts = Facts(tried={f"{WORLD}:{port}": Tried(address=WORLD) for port in (80, 81)})
    assert net.judged(outside_family, "compute", facts, reaching(f"{WORLD}:80"))[
        f"reach {WORLD}:80"
    ].is_passed
    refused = net.judged(outside_family, "compute", facts, reaching(f"{WORLD}:81"))[
        f"reach {WORLD}:81"
    ]
    assert (refused.status, refused.detail) == (
        CheckStatus.FAILED,
        f"{WORLD}:81, which the host reaches: refused",
    )
    net.do("host", "iptables -I FORWARD -i sl-trio0 -j DROP")
    started = time.monotonic()
    silent = net.judged(outside_family, "compute", facts, reaching(f"{WORLD}:80"))[
        f"reach {WORLD}:80"
    ]
    assert silent.detail == f"{WORLD}:80, which the host reaches: timed out"
    assert time.monotonic() - started < 14
    started = time.monotonic()
    closed_in = Facts(tried={f"{WORLD}:80": Tried(why_not="timed out", is_timed_out=True)})
    silent = net.judged(outside_family, "compute", closed_in, reaching(f"{WORLD}:80"))[
        f"reach {WORLD}:80"
    ]
    assert silent.status is CheckStatus.WARNED
    assert time.monotonic() - started < 7


def test_the_host_tries_all_places_at_once_and_waits_for_none(net: Segments) -> None:
    code = (
        "import json, time; from stacklab.checks import host; started = time.monotonic();"
        f"found = host.dial_all(['{WORLD}:80', '{WORLD}:81', '10.77.0.99:22', 'name.invalid:80', 'nonsense'], 1.5);"
        "print(json.dumps([[t.address, t.why_not] for t in found.values()] + [time.monotonic() - started]))"
    )
    net.do("host", "iptables -I OUTPUT -d 10.77.0.99 -j DROP")
    argv = ["ip", "netns", "exec", net.names["host"], sys.executable, "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    *found, took = json.loads(done.stdout)
    assert found[:3] == [[WORLD, ""], [WORLD, "refused"], ["10.77.0.99", "timed out"]]
    assert [bool(why) for _, why in found[3:]] == [True, True]
    assert took < 3


SOURCES = """\
# deb http://old.example.org/debian x main
deb [arch=amd64 signed-by=/x] http://packages.invalid:8080/debian x main
deb-src https://other.invalid/debian x main
"""


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (SOURCES, "packages.invalid:8080"),
        ("deb https://user:secret@packages.invalid/debian x main\n", "packages.invalid:443"),
        ("Types: deb\nURIs: http://packages.invalid/debian\n", "packages.invalid:80"),
        ("[base]\nbaseurl=https://packages.invalid/$releasever\n", "packages.invalid:443"),
        ("deb cdrom:[disk]/ x main\n", ""),
    ],
)
def test_the_mirror_in_a_node_s_sources_is_found(tmp_path: Path, text: str, place: str) -> None:
    (tmp_path / "sources.list").write_text(text)
    checks = [
        check
        for check in outside_family.expected(LAB)
        if check.node == "compute" and check.kind is CheckKind.DNS
    ]
    (part,) = outside_family.parts(LAB, LAB.node("compute"), checks, Facts())
    shell = part.shell.replace("/etc/apt", str(tmp_path)).replace(
        "/etc/yum.repos.d", str(tmp_path / "none")
    )
    done = subprocess.run(
        ["sh", "-c", shell], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode in (0, 1)
    found = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("packages ")]
    assert found == ([place] if place else [])
    assert (f"dns {outside_places.name_of(place)} 2" in done.stdout) == bool(place)
