"""mini-2node follows its spec, while processes and connections on its nodes go on."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stacklab.paths.project import PROJECT
from tests.live.labs import HOME, MINI, NOT_COPIED, as_kind
from tests.live.remains import left_of
from tests.live.typed import Stacklab

pytestmark = pytest.mark.live

HEAD = """\
description: a lab that follows its spec
image: debian-12
networks:
  net: {cidr: 192.168.151.0/24, mode: nat}
"""
# Networks that it gets later, in this order.
MORE_NETWORKS = {
    "far": "{cidr: 192.168.163.0/24, mode: isolated, mtu: 1400}",
    "farther": "{cidr: 192.168.164.0/24, mode: isolated, host: false}",
}
# Asks the network's DNS, not /etc/hosts.
ASK_DNS = """\
import socket, struct
question = struct.pack(">6H", 7, 256, 1, 0, 0, 0) + b"\\x05three\\x00" + struct.pack(">2H", 1, 1)
asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asked.settimeout(5)
asked.sendto(question, ("192.168.151.1", 53))
print(".".join(map(str, asked.recv(512)[-4:])))
"""


@dataclass
class Changing:
    """The lab in a checkout of its own, whose spec the tests write."""

    stacklab: Stacklab
    kind: str

    def write(self, **memory_mib: int) -> None:
        """Have these nodes in the spec."""
        nodes = "".join(
            f"  {name}: {{memory: {mib}MiB, nics: [{{network: net}}]}}\n"
            for name, mib in memory_mib.items()
        )
        self._write_spec(f"{HEAD}nodes:\n{nodes}")

    def write_on(self, *networks: str) -> None:
        """Have nodes `one` and `two` on these networks of MORE_NETWORKS, too."""
        declared = "".join(f"  {name}: {MORE_NETWORKS[name]}\n" for name in networks)
        nics = ", ".join(f"{{network: {name}}}" for name in ("net", *networks))
        nodes = "".join(
            f"  {name}: {{memory: 512MiB, nics: [{nics}]}}\n" for name in ("one", "two")
        )
        self._write_spec(f"{HEAD}{declared}nodes:\n{nodes}")

    def _write_spec(self, text: str) -> None:
        (self.stacklab.checkout / "labs" / f"{MINI}.yaml").write_text(text)

    def boots(self) -> list[str]:
        """What tells one boot of each node from the next one."""
        asking = "cat /proc/sys/kernel/random/boot_id"
        return [self.stacklab.on(MINI, node, asking) for node in ("one", "two")]

    def assert_on(self, *networks: str) -> None:
        """Each node has its NICs, in that order, and hears the other one on each of them."""
        ours = self.stacklab
        devices = [f"eth{number}" for number in range(1 + len(networks))]
        for node, peer in (("one", "two"), ("two", "one")):
            shown = ours.on(MINI, node, "cd /sys/class/net && echo eth*")
            assert shown.split() == devices
            for name in networks:
                ours.on(MINI, node, f"ping -c 5 -W 5 {peer}-{name}")
        ours.check(MINI)


class Counter:
    """A connection to node `one` of its own, through which a process there counts."""

    def __init__(self) -> None:
        config = str(HOME / "labs" / MINI / "ssh_config")
        count = "i=0; while :; do i=$((i + 1)); echo $i; sleep 0.2; done"
        self.process = subprocess.Popen(
            ("ssh", "-F", config, "-o", "ControlPath=none", "one", count),
            stdout=subprocess.PIPE,
            text=True,
        )
        self.last = 0

    def assert_goes_on(self) -> None:
        """Every number has come, none twice, and more come."""
        assert self.process.stdout is not None
        until = time.monotonic() + 1
        while time.monotonic() < until:
            line = self.process.stdout.readline()
            assert line, "the connection ended"
            assert int(line) == self.last + 1
            self.last += 1
        assert self.process.poll() is None


@pytest.fixture
def lab(stacklab: Stacklab, mini_absent: str, kind: str, tmp_path: Path) -> Iterator[Changing]:
    checkout = tmp_path / "checkout"
    shutil.copytree(PROJECT, checkout, ignore=shutil.ignore_patterns(*NOT_COPIED))
    environment = {**stacklab.environment, "PYTHONPATH": str(checkout)}
    changing = Changing(Stacklab(checkout=checkout, environment=environment), kind)
    changing.write(one=512, two=512)
    try:
        changing.stacklab.ok("lab.up", MINI, *as_kind(kind))
        yield changing
    finally:
        # By this checkout: the lab is not another's to destroy.
        changing.stacklab.ok("lab.destroy", MINI)
    assert left_of(MINI) == []


@pytest.fixture
def counter(lab: Changing) -> Iterator[Counter]:
    made = Counter()
    made.assert_goes_on()
    yield made
    made.process.kill()
    made.process.communicate()


def test_nodes_come_change_and_go_while_the_others_go_on(lab: Changing, counter: Counter) -> None:
    ours = lab.stacklab
    lab.write(one=512, two=512, three=512)
    assert "new" in ours.ok("lab.plan", MINI).out
    assert ours.states(MINI) == {"one": "running", "two": "running"}, "a plan touches nothing"
    ours.ok("lab.up", MINI)
    counter.assert_goes_on()
    address = ours.on(MINI, "one", "getent hosts three").split()[0]
    assert ours.on(MINI, "one", f"python3 -c '{ASK_DNS}'").strip() == address
    assert ours.on(MINI, "one", "ssh -o BatchMode=yes three hostname").strip() == "three"

    ours.on(MINI, "two", "touch kept")
    lab.write(one=512, two=640, three=512)
    refused = ours.run("lab.up", MINI)
    assert refused.code == 2
    assert "--yes" in refused.err
    ours.ok("lab.up", MINI, "--yes")
    assert ours.on(MINI, "two", "ls") == "kept\n"
    counter.assert_goes_on()

    # The last one: without one in the middle, those behind it would get other addresses.
    lab.write(one=512, two=640)
    refused = ours.run("lab.up", MINI, "--yes")
    assert refused.code == 2
    assert "--remove" in refused.err
    ours.ok("lab.up", MINI, "--remove", "--yes")
    assert ours.states(MINI) == {"one": "running", "two": "running"}
    assert ours.on(MINI, "two", "ls") == "kept\n"
    assert "three" not in ours.on(MINI, "one", "cat /etc/hosts .ssh/known_hosts")
    counter.assert_goes_on()
    ours.check(MINI)


@pytest.mark.skipif(
    not os.environ.get("STACKLAB_EVERY_STEP"),
    reason="it takes six minutes of emulated boots, and CI has 90 for all: by hand",
)
@pytest.mark.kinds("vms", only=True)  # a container is made anew for a NIC
def test_vms_get_nics_while_they_run_and_while_they_are_off(
    lab: Changing, counter: Counter
) -> None:
    ours = lab.stacklab
    ours.ok("lab.snapshot", MINI, "--name", "narrow")
    try:
        counter.assert_goes_on()
        boots = lab.boots()

        lab.write_on("far")
        planned = ours.ok("lab.plan", MINI).out
        assert "live" in planned
        assert "plug NICs in" in planned
        ours.ok("lab.up", MINI)  # nobody has to agree to it
        counter.assert_goes_on()
        assert lab.boots() == boots
        lab.assert_on("far")
        assert "mtu 1400" in ours.on(MINI, "one", "ip link show dev eth1")
        assert vagrant_status().count("running (libvirt)") == 2

        # For good: it is there after a boot, and so is one that came while they were off.
        ours.ok("lab.down", MINI)
        lab.write_on("far", "farther")
        ours.ok("lab.up", MINI)
        assert lab.boots() != boots
        lab.assert_on("far", "farther")

        # The lab of then has one NIC a node, and can follow the spec of today again.
        ours.ok("lab.restore", MINI, "narrow")
        assert ours.on(MINI, "two", "cd /sys/class/net && echo eth*") == "eth0\n"
        ours.ok("lab.up", MINI)
        assert lab.boots() == boots
        lab.assert_on("far", "farther")

        # The last one goes by a reboot, from the nodes' own disks.
        ours.on(MINI, "two", "touch kept")
        lab.write_on("far")
        assert ours.run("lab.up", MINI).code == 2
        ours.ok("lab.up", MINI, "--yes")
        assert ours.on(MINI, "two", "ls") == "kept\n"
        lab.assert_on("far")
    finally:
        ours.ok("lab.snapshot-delete", MINI, "narrow")


def vagrant_status() -> str:
    """What Vagrant itself says of the lab's nodes."""
    argv = ("vagrant", "status")
    directory = HOME / "labs" / MINI
    return subprocess.run(argv, cwd=directory, capture_output=True, text=True, check=True).stdout
