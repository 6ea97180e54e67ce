"""What real programs say between network namespaces.

A host with a bridge and a tap, and a node behind it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab.checks.explain import scene
from stacklab.checks.explain.scene import Scene
from stacklab.model.host_network import Snapshot
from stacklab.nodes import protocol
from stacklab.process import Command
from stacklab.tools.host import net as host_net
from tests.unit.checks.fake_lab import make_lab

PREFIX = f"slx{os.getpid()}"
HOST, NODE = f"{PREFIX}h", f"{PREFIX}n"
MAC, ADDRESS = "52:54:00:00:01:01", "10.20.0.12"
NIC = make_lab().node("compute1").nics[1]
SUDO = '#!/bin/sh\n[ "$1" = -n ] && shift\nexec "$@"\n'
PROGRAMS = ("ip", "iptables", "iptables-save", "fping", "ss", "tc", "bridge")


def run(*argv: str, check: bool = True) -> str:
    found = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    assert not check or found.returncode == 0, (argv, found.stderr)
    return found.stdout


def _why_not() -> str:
    if os.geteuid() != 0:
        return "needs root: network namespaces"
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"not installed: {', '.join(missing)}"
    if subprocess.run(
        ["ip", "netns", "add", f"{PREFIX}p"], capture_output=True, check=False
    ).returncode:
        return "network namespaces are not allowed here"
    run("ip", "netns", "del", f"{PREFIX}p")
    return ""


WHY_NOT = _why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)


class Site:
    """The two namespaces, and what is asked in them."""

    def __init__(self, tmp_path: Path) -> None:
        (tmp_path / "sudo").write_text(SUDO)
        (tmp_path / "sudo").chmod(0o755)
        self.path = f"{tmp_path}:{os.environ['PATH']}:/usr/sbin:/sbin"

    def host(self, *argv: str, check: bool = True) -> str:
        return run("ip", "netns", "exec", HOST, *argv, check=check)

    def node(self, *argv: str, check: bool = True) -> str:
        return run("ip", "netns", "exec", NODE, *argv, check=check)

    def look(self, command: Command) -> str:
        return self.host(
            *command.argv[command.argv.index("-n") + 1 :] if "-n" in command.argv else command.argv
        )

    def snapshot(self) -> Snapshot:
        return Snapshot(
            links=host_net.parse_links(self.look(host_net.links())),
            neighbours=host_net.parse_neighbours(self.look(host_net.neighbours())),
            rules=host_net.parse_rules(self.look(host_net.firewall())),
        )

    def scene(self, *addresses: str) -> Scene:
        script = protocol.render(scene.parts(addresses), "M")
        found = subprocess.run(
            ["ip", "netns", "exec", NODE, "sh", "-s"],
            input=script,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PATH": self.path},
            timeout=60,
        )
        return scene.read(protocol.read(found.stdout, "M"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    try:
        for name in (HOST, NODE):
            run("ip", "netns", "add", name)
        made.host("ip", "link", "add", "sl-b", "type", "bridge")
        made.host(
            "ip",
            "link",
            "add",
            "vnet1",
            "address",
            f"fe{MAC[2:]}",
            "type",
            "veth",
            "peer",
            "name",
            "eth1",
            "address",
            MAC,
            "netns",
            NODE,
        )
        made.host("ip", "link", "set", "vnet1", "master", "sl-b")
        made.host("ip", "addr", "add", "10.20.0.1/24", "dev", "sl-b")
        for name in ("sl-b", "vnet1", "lo"):
            made.host("ip", "link", "set", name, "up")
        made.node("ip", "addr", "add", f"{ADDRESS}/24", "dev", "eth1")
        for name in ("eth1", "lo"):
            made.node("ip", "link", "set", name, "up")
        yield made
    finally:
        for name in (HOST, NODE):
            run("ip", "netns", "del", name, check=False)


def ping(site: Site, address: str) -> None:
    site.host("fping", "-q", "-C", "1", "-t", "300", address, check=False)


def test_the_host_sees_the_tap_on_its_bridge_and_what_went_over_it(site: Site) -> None:
    ping(site, ADDRESS)
    found = site.snapshot()
    tap = found.tap_of(MAC)
    assert tap is not None
    assert (tap.name, tap.master, tap.is_up, tap.has_carrier) == ("vnet1", "sl-b", True, True)
    assert tap.received > 0
    site.host("ip", "link", "set", "vnet1", "nomaster")
    site.host("ip", "link", "set", "vnet1", "down")
    tap = site.snapshot().tap_of(MAC)
    assert tap is not None
    assert (tap.master, tap.is_up) == ("", False)


def test_the_host_sees_who_answers_arp_and_who_does_not(site: Site) -> None:
    ping(site, ADDRESS)
    ping(site, "10.20.0.99")
    found = site.snapshot()
    known, silent = found.neighbour(ADDRESS), found.neighbour("10.20.0.99")
    assert known is not None
    assert silent is not None
    assert (known.mac, known.is_silent, silent.is_silent) == (MAC, False, True)


def test_the_host_sees_its_route_and_the_rules_on_the_bridge(site: Site) -> None:
    route = host_net.parse_route(site.look(host_net.route(ADDRESS)))
    assert route is not None
    assert (route.device, route.source) == ("sl-b", "10.20.0.1")
    site.host("iptables", "-A", "OUTPUT", "-o", "sl-b", "-p", "icmp", "-j", "DROP")
    site.host("iptables", "-A", "OUTPUT", "-o", "other", "-j", "DROP")
    ping(site, ADDRESS)
    (rule,) = site.snapshot().rules_on("sl-b")
    assert (rule.text, rule.packets > 0, rule.refuses) == (
        "-A OUTPUT -o sl-b -p icmp -j DROP",
        True,
        True,
    )


def test_a_healthy_node_s_words_are_understood(site: Site) -> None:
    ping(site, ADDRESS)
    found = site.scene("10.20.0.1")
    assert found.is_seen
    assert (found.devices["eth1"].state, found.devices["eth1"].mtu) == ("up", 1500)
    assert found.devices["eth1"].addresses == (f"{ADDRESS}/24",)
    assert " dev eth1 " in found.routes["10.20.0.1"]
    assert found.neighbours["10.20.0.1"][0]
    assert (found.listens, found.ignores_pings, found.rules) == (False, False, ())


def test_each_thing_that_is_broken_is_seen(site: Site) -> None:
    server = (
        "import socket,time; s=socket.create_server(('0.0.0.0', 22)); print('up', flush=True);"
        " time.sleep(60)"
    )
    argv = ["ip", "netns", "exec", NODE, sys.executable, "-c", server]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as listening:
        assert listening.stdout is not None
        listening.stdout.readline()
        try:
            assert site.scene().listens is True
        finally:
            listening.kill()
    site.node("sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=1")
    site.node("iptables", "-A", "INPUT", "-i", "eth1", "-p", "icmp", "-j", "DROP")
    site.node(
        "iptables", "-A", "INPUT", "-s", "10.20.0.11", "-p", "tcp", "--dport", "22", "-j", "REJECT"
    )
    site.node("ip", "link", "set", "eth1", "mtu", "1400")
    found = site.scene()
    assert found.ignores_pings
    assert found.drops("input", "icmp", NIC, "10.20.0.11") == "-A INPUT -i eth1 -p icmp -j DROP"
    assert "--dport 22 -j REJECT" in found.drops("input", "tcp", NIC, "10.20.0.11")
    assert found.drops("input", "tcp", NIC, "10.20.0.13") == ""
    assert found.devices["eth1"].mtu == 1400
    site.host("ip", "link", "set", "vnet1", "down")
    assert site.scene().devices["eth1"].state == "up, without carrier"
    site.node("ip", "link", "set", "eth1", "down")
    found = site.scene("10.20.0.1")
    assert found.devices["eth1"].state == "down"
    assert "unreachable" in found.routes["10.20.0.1"]
