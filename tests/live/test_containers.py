"""What is about containers alone, and labs that have both kinds of nodes; all on mini-2node."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab.paths.project import PROJECT
from tests.live.labs import HOME, MINI, NOT_COPIED, all_passed, as_kind, cgroup
from tests.live.remains import left_of
from tests.live.typed import Stacklab

pytestmark = pytest.mark.live

MIXED = """\
description: a container and a VM on one network
image: debian-12
networks:
  net: {cidr: 192.168.151.0/24, mode: nat}
nodes:
  inside: {kind: container, memory: 512MiB, nics: [{network: net}]}
  apart: {memory: 512MiB, nics: [{network: net}]}
"""


@pytest.fixture
def mini(stacklab: Stacklab, mini_absent: str, kind: str) -> Iterator[str]:
    stacklab.ok("lab.up", MINI, *as_kind(kind))
    yield MINI
    stacklab.ok("lab.destroy", MINI)
    assert left_of(MINI) == []


def boot_id(stacklab: Stacklab, node: str) -> str:
    return stacklab.on(MINI, node, "cat /proc/sys/kernel/random/boot_id")


def test_a_console_that_is_flooded_takes_no_more_of_this_hosts_disk(
    stacklab: Stacklab, mini: str
) -> None:
    flood = "head -c 20000000 /dev/zero | tr '\\0' x >/dev/console"
    stacklab.on(mini, "node1", f'sudo sh -c "{flood}"')
    console = HOME / "labs" / mini / "logs" / "node1.console.log"
    deadline = time.monotonic() + 20
    while b"no more than" not in console.read_bytes()[-200:]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert console.stat().st_size < 9_000_000
    stacklab.check(mini)


def test_a_node_whose_nspawn_is_killed_is_off_and_comes_back(
    stacklab: Stacklab, mini: str, kind: str
) -> None:
    nspawn = int((cgroup(mini, "node1") / "run/supervisor/cgroup.procs").read_text())
    os.kill(nspawn, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while stacklab.states(mini) != {"node1": "off", "node2": "running"}:
        assert time.monotonic() < deadline
    assert all_passed(mini, kind) in stacklab.ok("lab.up", mini).out


def test_a_node_that_is_rebuilt_has_forgotten_all_and_the_other_goes_on(
    stacklab: Stacklab, mini: str
) -> None:
    before = boot_id(stacklab, "node2")
    for node in ("node1", "node2"):
        stacklab.on(mini, node, "touch kept")
    stacklab.ok("lab.rebuild", mini, "--node", "node1")
    assert stacklab.on(mini, "node1", "ls") == ""
    assert stacklab.on(mini, "node2", "ls") == "kept\n"
    assert boot_id(stacklab, "node2") == before


@pytest.mark.kinds("vms", only=True)
def test_a_container_and_a_vm_share_a_network(
    stacklab: Stacklab, mini_absent: str, kind: str, tmp_path: Path
) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(PROJECT, checkout, ignore=shutil.ignore_patterns(*NOT_COPIED))
    (checkout / "labs" / f"{MINI}.yaml").write_text(MIXED)
    mine = Stacklab(
        checkout=checkout, environment={**stacklab.environment, "PYTHONPATH": str(checkout)}
    )
    try:
        assert "43 of 43 checks passed" in mine.ok("lab.up", MINI).out, "three are of VMs alone"
        mine.ok("lab.fault", MINI, "link-down", "inside", "eth0")
        mine.check(MINI, "--expect", "--layer", "pairs", "--wait", "30")
        mine.ok("lab.fault", MINI, "--undo")
        mine.check(MINI, "--wait", "60")
    finally:
        # By this checkout: the lab is not another's to destroy.
        mine.ok("lab.destroy", MINI)
    assert left_of(MINI) == []
