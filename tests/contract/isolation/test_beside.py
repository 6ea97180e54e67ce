"""Whether a host is closed to a lab's nodes, by the rules that lab.up makes and real iptables."""

from __future__ import annotations

import subprocess

import pytest

from stacklab.checks.family import Facts
from stacklab.checks.reach import beside_family
from stacklab.checks.result import CheckResult, CheckStatus, Reason
from stacklab.tools.network import iptables
from stacklab.tools.network.iptables import HostPort
from tests.contract.isolation.segments import LAB, WORLD, Segments, needs_namespaces

pytestmark = needs_namespaces
NAT = LAB.networks[0].host_address
ELSEWHERE = "203.0.113.1"  # the host's address on another network
GIT = HostPort(address=NAT, port=9418)
FACTS = Facts(host_ports=(80,))


@pytest.fixture(autouse=True)
def served(net: Segments) -> None:
    net.serve("host", f"{NAT}:53", f"{NAT}:80", f"{ELSEWHERE}:80", str(GIT))


def apply(net: Segments, text: str) -> None:
    argv = ("ip", "netns", "exec", net.names["host"], *iptables.APPLY)
    subprocess.run(argv, input=text, text=True, check=True, timeout=20)


def rules(net: Segments) -> str:
    return net.do("host", " ".join(iptables.LOOK))


def close(net: Segments, *, bridges: tuple[str, ...] = ("sl-trio0", "sl-trio1")) -> None:
    hiding = [bridge for bridge in ("sl-trio1",) if bridge not in bridges]
    text = iptables.close(
        LAB.name, bridges=bridges, hiding=hiding, places=[GIT], listing=rules(net)
    )
    apply(net, text)


def outcome(net: Segments) -> CheckResult:
    return net.judged(beside_family, "compute", FACTS)["host-services"]


def reaches(net: Segments, place: str, where: str = "compute", source: str = "") -> bool:
    address, _, port = place.rpartition(":")
    bound = f", ('{source}', 0)" if source else ""
    program = f"import socket; socket.create_connection(('{address}', {port}), 2{bound})"
    argv = ["ip", "netns", "exec", net.names[where], "python3", "-c", program]
    return subprocess.run(argv, check=False, capture_output=True, timeout=20).returncode == 0


def test_a_host_without_rules_is_found_out(net: Segments) -> None:
    assert (outcome(net).status, outcome(net).reason) == (CheckStatus.FAILED, Reason.REACHED)
    assert reaches(net, f"{NAT}:80")


def test_the_rules_close_the_host_at_each_of_its_addresses_and_keep_what_a_lab_needs(
    net: Segments,
) -> None:
    close(net)
    assert outcome(net).is_passed, outcome(net)
    assert not reaches(net, f"{NAT}:80")
    assert not reaches(net, f"{ELSEWHERE}:80")
    assert reaches(net, f"{NAT}:53")
    assert reaches(net, str(GIT))
    net.do("compute", f"ping -c 1 -W 2 {NAT}")
    # What the host forwards never comes to these rules, and the host itself goes out as before.
    assert reaches(net, f"{WORLD}:80")
    assert reaches(net, "10.77.0.12:22", where="host")


def test_made_again_they_are_there_once_and_first_and_removed_nothing_is_left(
    net: Segments,
) -> None:
    before = rules(net)
    close(net)
    once = rules(net)
    close(net)
    assert rules(net) == once != before
    net.do("host", "iptables -I INPUT -i sl-trio0 -j ACCEPT")
    assert outcome(net).status is CheckStatus.FAILED
    close(net)
    assert outcome(net).is_passed
    net.do("host", "iptables -D INPUT -i sl-trio0 -j ACCEPT")
    # As of a killed command, or of two at once: a second way to the chain.
    net.do("host", f"iptables -A INPUT -j {iptables.chain_of(LAB.name)}")
    apply(net, iptables.remove(LAB.name, rules(net)))
    assert rules(net) == before
    assert outcome(net).status is CheckStatus.FAILED


def test_on_a_bridge_without_the_host_its_other_addresses_are_not_reached_either(
    net: Segments,
) -> None:
    net.do("host", "ip addr del 10.77.1.1/24 dev sl-trio1")
    net.do("host", "sysctl -qw net.ipv4.conf.all.rp_filter=0")
    net.do("host", "sysctl -qw net.ipv4.conf.sl-trio1.rp_filter=0")
    mac = net.do("host", "cat /sys/class/net/sl-trio1/address").strip()
    # With the address that it has on the other network: the host's answer goes there.
    for line in (f"ip route add {NAT}/32 dev eth1", f"ip neigh add {NAT} lladdr {mac} dev eth1"):
        net.do("controller", line)
    assert reaches(net, f"{NAT}:80", where="controller", source="10.77.0.11")
    close(net, bridges=("sl-trio0",))
    assert not reaches(net, f"{NAT}:80", where="controller", source="10.77.0.11")


def test_a_port_that_the_host_s_own_firewall_leaves_open_is_found_out(net: Segments) -> None:
    for rule in ("-i sl-trio0 -p tcp --dport 53", "-i sl-trio0 -p tcp --dport 80"):
        net.do("host", f"iptables -A INPUT {rule} -j ACCEPT")
    net.do("host", "iptables -A INPUT -i sl-trio0 -j REJECT --reject-with icmp-admin-prohibited")
    assert outcome(net).status is CheckStatus.FAILED
    assert f"{NAT}:80" in outcome(net).detail
    close(net)
    assert outcome(net).is_passed


def test_silence_is_no_refusal(net: Segments) -> None:
    net.do("host", "iptables -A INPUT -i sl-trio0 -p tcp --dport 53 -j ACCEPT")
    net.do("host", "iptables -A INPUT -i sl-trio0 -j DROP")
    assert (outcome(net).status, outcome(net).reason) == (CheckStatus.WARNED, Reason.NOT_REFUSED)


def test_a_name_server_that_is_gone_leaves_it_unproved(net: Segments) -> None:
    close(net)
    net.do("host", f"iptables -I INPUT -i sl-trio0 -d {NAT} -p tcp --dport 53 -j DROP")
    assert (outcome(net).status, outcome(net).reason) == (CheckStatus.WARNED, Reason.UNPROVED)


def test_a_node_of_another_lab_is_reached_or_not(net: Segments) -> None:
    facts = Facts(other_labs={"10.77.0.12": "web of shop"})
    close(net)
    # The controller has a way to it: they are on one network here.
    result = net.judged(beside_family, "controller", facts)["other-labs"]
    assert (result.status, result.reason) == (CheckStatus.FAILED, Reason.REACHED)
    net.do("controller", "ip route del default")
    net.do("controller", "ip route add unreachable 10.77.0.12/32")
    assert net.judged(beside_family, "controller", facts)["other-labs"].is_passed
