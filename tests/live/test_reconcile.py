"""mini-2node follows its spec, while a process and a connection on the other nodes go on."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stacklab.paths import PROJECT
from tests.live.labs import HOME, MINI, NOT_COPIED, as_kind
from tests.live.remains import left_of
from tests.live.typed import Stacklab

pytestmark = pytest.mark.live

HEAD = """\
description: a lab that follows its spec
image: debian-12
networks:
  net: {cidr: 192.168.151.0/24, mode: nat}
nodes:
"""
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
        (self.stacklab.checkout / "labs" / f"{MINI}.yaml").write_text(HEAD + nodes)


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
