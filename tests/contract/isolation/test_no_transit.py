"""Whether a host lets an isolated network through, each promise broken once."""

from __future__ import annotations

import dataclasses
import os
import signal
import time

from stacklab.checks import host, plan
from stacklab.checks.reach import isolation_family
from stacklab.checks.result import HOST, Check, CheckKind, CheckResult, CheckStatus, Reason
from stacklab.nodes import protocol
from stacklab.process import Command, Result, SubprocessRunner
from tests.contract.isolation.segments import FACTS, LAB, MARK, WORLD, Segments, needs_namespaces

pytestmark = needs_namespaces


def test_an_isolated_network_has_no_way_through_the_host_and_nothing_is_left_of_the_trial(
    net: Segments,
) -> None:
    before = net.policy("controller")
    result = net.judged(isolation_family, "controller")["no-transit"]
    assert result.is_passed
    assert result.detail.endswith("connection refused")
    assert net.policy("controller") == before
    assert "20454" not in before


def test_a_host_that_forwards_is_found_out(net: Segments) -> None:
    net.open_up()
    result = net.judged(isolation_family, "controller")["no-transit"]
    assert (result.status, result.reason) == (CheckStatus.FAILED, Reason.REACHED)
    for place in ("10.77.1.1", "10.77.0.12:22", f"{WORLD}:80"):
        assert place in result.detail
    assert "20454" not in net.policy("controller")


def test_a_host_that_says_host_unreachable_has_refused(net: Segments) -> None:
    net.open_up()
    net.do("host", "iptables -A FORWARD -i sl-trio1 -j REJECT --reject-with icmp-host-prohibited")
    result = net.judged(isolation_family, "controller")["no-transit"]
    assert result.is_passed
    assert result.detail.endswith("no route to host")


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
    deadline = time.monotonic() + 60
    while "20454" not in net.policy("controller"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    deadline = time.monotonic() + 60
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
    assert (result.status, result.reason) == (CheckStatus.FAILED, Reason.REACHED)
    assert "controller 10.77.1.11" in result.detail


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
    result = judge_apart(net)
    assert (result.status, result.reason) == (CheckStatus.FAILED, Reason.WRONG_ADDRESS)
    assert "10.77.1.1/24" in result.detail
    net.do("host", "ip addr flush dev sl-trio1")
    assert judge_apart(net).is_passed
    net.do("host", "ip route add 10.77.1.0/24 via 10.77.0.11")
    result = judge_apart(net)
    assert (result.status, result.reason) == (CheckStatus.FAILED, Reason.REACHED)
    assert "sl-trio0" in result.detail
    net.do("host", "ip link del sl-trio1")
    assert judge_apart(net).status is CheckStatus.ERROR
