"""The real train against a real queue, the real fping, tc and ebtables.

In network namespaces, as root.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from stacklab.checks.impairments import measuring, verdicts
from stacklab.model.lab import Impairment
from stacklab.tools.network import ebtables, tc
from tests.unit.checks.impairments.said import impaired

PROGRAMS = ("ip", "tc", "fping", "ebtables")


def run(*argv: str, ok: bool = True, timeout: int = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=ok)


def can_make_namespaces() -> bool:
    if os.geteuid() != 0 or any(shutil.which(name) is None for name in PROGRAMS):
        return False
    made = run("ip", "netns", "add", f"slprobe{os.getpid()}", ok=False).returncode == 0
    return run("ip", "netns", "del", f"slprobe{os.getpid()}", ok=False).returncode == 0 and made


pytestmark = pytest.mark.skipif(
    not can_make_namespaces(), reason="needs root, ip netns, tc, fping and ebtables"
)


@dataclass(frozen=True)
class Bridge:
    """Nodes 1, 2, ... as namespaces on a bridge in one of their own.

    Node N has 10.98.0.N on eth0, on tap pN.
    """

    name: str

    def on(self, node: int, *argv: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        return run("ip", "netns", "exec", f"{self.name}{node}", *argv, ok=ok)

    def host(self, *argv: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        return run("ip", "netns", "exec", self.name, *argv, ok=ok)

    def reached(self, node: int) -> set[int]:
        """Which of nodes 1 to 3 answer it."""
        addresses = [f"10.98.0.{n}" for n in (1, 2, 3)]
        said = self.on(node, "fping", "-c", "1", "-t", "2000", "-q", *addresses, ok=False)
        found = verdicts.read_counts(said.stderr.splitlines())
        return {
            int(address.rpartition(".")[2]) for address, count in found.items() if count.received
        }


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    made = Bridge(f"sl{uuid.uuid4().hex[:6]}")
    names = [made.name, *(f"{made.name}{node}" for node in (1, 2, 3))]
    try:
        for name in names:
            run("ip", "netns", "add", name)
        made.host("ip", "link", "add", "br0", "type", "bridge")
        made.host("ip", "link", "set", "br0", "up")
        for node in (1, 2, 3):
            port = f"ip link add p{node} type veth peer name eth0 netns {names[node]}"
            made.host(*port.split())
            made.host("ip", "link", "set", f"p{node}", "master", "br0", "up")
            made.on(node, "ip", "addr", "add", f"10.98.0.{node}/24", "dev", "eth0")
            made.on(node, "ip", "link", "set", "eth0", "up")
            made.on(node, "ip", "link", "set", "lo", "up")
        yield made
    finally:
        for name in reversed(names):
            run("ip", "netns", "del", name, ok=False)


RIGHT_TRAINS = 3
TRAINS = 20  # a busy machine stalls some, so that too little is offered, or is counted late


@dataclass(frozen=True)
class Train:
    """What left eth0 of node 1, and what was offered (inf: the socket was full), in kbit/s."""

    found: float
    offered: float


def run_trains(bridge: Bridge, rate_kbit: int, *, frame: int = 1514) -> Iterator[Train]:
    """Train after train, as many as are asked for."""
    for _ in range(TRAINS):
        yield run_train(bridge, rate_kbit, frame=frame)


def run_train(bridge: Bridge, rate_kbit: int, *, frame: int = 1514) -> Train:
    words = f"eth0,10.98.0.2,{frame},{rate_kbit * 125 * 1.3:.0f},0.200"
    said = bridge.on(1, sys.executable, "-c", measuring._TRAIN, words).stdout.split()
    assert said[0] == "eth0"
    sent, gone, took, full = map(float, said[1:])
    offered = math.inf if full else sent * 8 / took / 1000
    return Train(found=gone * 8 / took / 1000, offered=offered)


def assert_right(trains: Iterator[Train], is_right: Callable[[Train], bool]) -> None:
    """Some of them have to be right: chance makes one so, now and then, of a wrong measuring."""
    seen = []
    right = 0
    for each in trains:
        seen.append(each)
        right += is_right(each)
        if right == RIGHT_TRAINS:
            return
    pytest.fail(f"only {right} of these are right: {seen}")


@pytest.mark.parametrize(("limit", "frame"), [(1000, 1514), (20_000, 1514), (512, 320)])
def test_a_train_measures_what_a_queue_lets_through(bridge: Bridge, limit: int, frame: int) -> None:
    queue = ("tbf", "rate", f"{limit}kbit", "burst", "3kb", "latency", "300ms")
    bridge.on(1, "tc", "qdisc", "replace", "dev", "eth0", "root", *queue)
    assert_right(
        run_trains(bridge, limit, frame=frame),
        lambda train: 0.8 * limit < train.found < 1.12 * limit and train.offered > 1.15 * limit,
    )


def test_a_train_without_a_queue_goes_through_as_fast_as_it_is_offered(bridge: Bridge) -> None:
    assert_right(
        run_trains(bridge, 10_000), lambda train: 1.2 * 10_000 < train.found < 1.5 * 10_000
    )


def test_a_train_of_which_nothing_arrives_has_its_answer(bridge: Bridge) -> None:
    bridge.host("ip", "link", "set", "p1", "down")
    assert run_train(bridge, 1000).found < 700


def test_fping_counts_as_we_read_it(bridge: Bridge) -> None:
    lab = impaired(Impairment(loss_percent=10))
    chosen = measuring.ping_plan([nic for _, nic in lab.members("net1")])
    line = measuring.ping_line(chosen, ["10.98.0.2", "10.98.0.99"]).removeprefix("sudo -n ")
    said = bridge.on(1, "sh", "-c", line, ok=False).stderr
    found = verdicts.read_counts(said.splitlines())
    assert (found["10.98.0.2"].sent, found["10.98.0.2"].received) == (chosen.count, chosen.count)
    # As fping writes it: 10.98.0.2 : xmt/rcv/%loss = 5/5/0%, min/avg/max = 0.051/0.065/0.090
    least = re.search(r"^10\.98\.0\.2 .* min/avg/max = ([0-9.]+)/", said, re.MULTILINE)
    assert least is not None
    assert found["10.98.0.2"].least_ms == float(least[1])
    assert (found["10.98.0.99"].received, found["10.98.0.99"].least_ms) == (0, None)


def test_tc_shows_no_netem_where_there_is_none(bridge: Bridge) -> None:
    bridge.on(1, "tc", "qdisc", "replace", "dev", "eth0", "root", "pfifo")
    said = bridge.on(1, "sh", "-c", tc.SHOW)
    assert "pfifo" in said.stdout
    assert tc.parse(said.stdout) == {}


def test_tc_takes_our_netem_and_shows_it_as_we_read_it(bridge: Bridge) -> None:
    lab = impaired(Impairment(delay_ms=20, loss_percent=0.5, rate_kbit=512))
    nics = [nic for nic in lab.nodes[0].nics if nic.impairment]
    bridge.on(1, "ip", "link", "set", "eth0", "down")
    bridge.on(1, "ip", "link", "set", "eth0", "name", nics[0].device)
    said = bridge.on(1, "sh", "-c", tc.script(nics) + tc.SHOW, ok=False)
    if "kind is unknown" in said.stderr:
        pytest.skip("this kernel has no sch_netem (CONFIG_NET_SCH_NETEM)")
    assert tc.is_same(nics[0].impairment, tc.parse(said.stdout)[nics[0].device])
    again = bridge.on(1, "sh", "-c", tc.script(nics) + tc.SHOW, ok=False)
    assert tc.parse(again.stdout) == tc.parse(said.stdout)


def test_a_partition_parts_its_groups_keeps_carriers_and_is_healed_whole(bridge: Bridge) -> None:
    before = bridge.host("ebtables", "-L").stdout
    assert [bridge.reached(node) for node in (1, 2, 3)] == [{1, 2, 3}] * 3
    for argv in ebtables.cut("br0", [["p1"], ["p2", "p3"]]):
        bridge.host(*argv)
    assert [bridge.reached(node) for node in (1, 2, 3)] == [{1}, {2, 3}, {2, 3}]
    assert "LOWER_UP" in bridge.on(1, "ip", "link", "show", "eth0").stdout
    assert {"br0", "br0-0", "br0-1"} <= ebtables.chains(bridge.host(*ebtables.LOOK).stdout)
    for argv in ebtables.heal("br0", 2):
        bridge.host(*argv)  # each succeeds: nothing is in the way of the next
    assert [bridge.reached(node) for node in (1, 2, 3)] == [{1, 2, 3}] * 3
    assert not {"br0", "br0-0", "br0-1"} & ebtables.chains(bridge.host(*ebtables.LOOK).stdout)
    assert bridge.host("ebtables", "-L").stdout == before


def test_a_partition_that_was_cut_short_is_healed_too(bridge: Bridge) -> None:
    before = bridge.host("ebtables", "-L").stdout
    cut = ebtables.cut("br0", [["p1"], ["p2", "p3"]])
    for stop in range(len(cut) + 1):
        for argv in cut[:stop]:
            bridge.host(*argv)
        for argv in ebtables.heal("br0", 2):
            bridge.host(*argv, ok=False)
        assert bridge.host("ebtables", "-L").stdout == before


def test_the_host_reaches_every_group(bridge: Bridge) -> None:
    bridge.host("ip", "addr", "add", "10.98.0.254/24", "dev", "br0")
    for argv in ebtables.cut("br0", [["p1"], ["p2"], ["p3"]]):
        bridge.host(*argv)
    said = bridge.host("fping", "-c", "1", "-q", *(f"10.98.0.{n}" for n in (1, 2, 3)), ok=False)
    assert said.returncode == 0
    assert bridge.reached(1) == {1}


def test_a_tap_whose_name_another_lab_has_by_now_is_not_parted(bridge: Bridge) -> None:
    """It was: the name of a dead node's tap is free for the next node, whosever it is."""
    for argv in ebtables.cut("br0", [["p1"], ["p2"]]):
        bridge.host(*argv)
    bridge.host("ip", "link", "add", "br1", "type", "bridge")
    bridge.host("ip", "link", "set", "br1", "up")
    for tap in ("p1", "p3"):
        bridge.host("ip", "link", "set", tap, "master", "br1")
    assert bridge.reached(1) == {1, 3}


def test_a_tap_that_the_rules_do_not_know_is_not_parted(bridge: Bridge) -> None:
    """It was, from its own group as well.

    A node that is started by hand has a tap with another name.
    """
    for argv in ebtables.cut("br0", [["p1"], ["p2"]]):
        bridge.host(*argv)
    assert [bridge.reached(node) for node in (1, 2, 3)] == [{1, 3}, {2, 3}, {1, 2, 3}]
