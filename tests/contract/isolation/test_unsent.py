"""What was never sent is neither isolation nor its breach."""

from __future__ import annotations

import dataclasses
import errno
import re

import pytest

from stacklab.checks.explain import scene
from stacklab.checks.reach import isolation_family
from stacklab.checks.result import CheckKind, CheckStatus, Reason
from stacklab.model.lab import NetworkMode
from stacklab.nodes import protocol
from tests.contract.isolation.segments import (
    FACTS,
    LAB,
    MARK,
    WORLD,
    Segments,
    needs_namespaces,
)
from tests.unit.checks.fake_lab import late

pytestmark = needs_namespaces


@pytest.mark.parametrize(
    ("where", "line", "said"),
    [
        ("controller", "ip link set eth1 down", "eth1 is down"),
        ("controller", "ip link del eth1", "eth1 is not there"),
        # What nobody sent has no answer: that passed for a refusal, or for isolation where the
        # host is off the network.
        ("host", "ip link set conteth1 down", "eth1 has no carrier"),
        ("controller", "ip addr flush dev eth1", "eth1 lacks its address"),
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
    assert (result.status, result.reason) == (CheckStatus.ERROR, Reason.NOT_SENT)
    assert result.detail.startswith(said)
    assert "silent" not in result.output, "nobody waited for an answer"
    assert "20454" not in net.policy("controller")


def test_a_bridge_that_took_a_nic_s_address_and_mac_is_the_way_to_the_host(net: Segments) -> None:
    """No route could be made out of the NIC, so nothing was tried."""
    net.take()
    result = net.judged(isolation_family, "controller")["no-transit"]
    assert result.is_passed
    assert result.detail.endswith("connection refused")
    net.open_up()
    result = net.judged(isolation_family, "controller")["no-transit"]
    assert (result.status, result.reason) == (CheckStatus.FAILED, Reason.REACHED)
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
    assert (result.status, result.reason) == (CheckStatus.ERROR, Reason.NOT_SENT)
    assert result.detail.startswith(said)
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
    assert (result.status, result.reason) == (CheckStatus.ERROR, Reason.NOT_SENT)


def test_what_the_node_s_own_kernel_refuses_was_never_sent(net: Segments) -> None:
    """It passed for the host's refusal: of TCP alone, so `ip route get` knows nothing of it."""
    net.open_up()
    net.do("controller", "ip rule add pref 10 from 10.77.1.11 ipproto tcp prohibit")
    result = net.judged(isolation_family, "controller")["no-transit"]
    assert result.output.count(" dev eth1 table 20454 ") == 2
    assert f"unsent 10.77.1.11,{WORLD},80 {errno.EACCES}" in result.output
    assert (result.status, result.reason) == (CheckStatus.ERROR, Reason.NOT_SENT)


@pytest.mark.parametrize(
    "delay_ms", [0, 2000]
)  # with it the node is waited for until its kernel gives ARP up
def test_a_host_that_does_not_answer_arp_has_refused_nothing(net: Segments, delay_ms: int) -> None:
    """ "No route to host" came from the node's own kernel."""
    net.do("host", "ip link set sl-trio1 down")
    lab = late(LAB, delay_ms)
    result = net.judged(isolation_family, "controller", lab=lab)["no-transit"]
    assert (result.status, result.reason) == (CheckStatus.ERROR, Reason.NOT_SENT)
    assert "ARP" in result.detail
    if delay_ms:
        assert f"dial 10.77.1.11,10.77.0.12,22 {errno.EHOSTUNREACH}" in result.output
    nat, isolated = lab.networks
    apart = dataclasses.replace(lab, networks=(nat, dataclasses.replace(isolated, has_host=False)))
    result = net.judged(isolation_family, "controller", lab=apart)["no-transit"]
    assert result.is_passed
    assert result.detail.endswith("no answer")


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

    def reasons() -> list[Reason]:
        with net.start("controller", script) as process:
            said, _ = process.communicate(timeout=60)
        answer = protocol.read(said, MARK)
        return [each.reason for each in isolation_family.judge(lab, checks, answer, FACTS)]

    assert reasons() == [Reason.REACHED, Reason.OK]
    net.do("controller", "ip link set eth1 down")
    assert reasons() == [Reason.REACHED, Reason.NOT_SENT]
