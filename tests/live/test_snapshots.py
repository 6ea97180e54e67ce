"""Snapshots of VMs: memory, disks and connections of one instant.

Those that are killed are in test_killed_at_each_step.py.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stacklab import spec
from stacklab.paths.project import PROJECT
from tests.live.labs import HOME, LAB, NODES
from tests.live.own_libvirtd import OwnLibvirtd
from tests.live.typed import Run, Stacklab, wait_until

pytestmark = [pytest.mark.live, pytest.mark.kinds("vms", only=True)]

COUNTER = Path(__file__).with_name("counter.py")
ROUNDS = 3  # CI's share; 20 were run by hand
ADDRESSES = {
    node.name: str(node.access.address.ip)
    for node in spec.load(PROJECT / "labs" / f"{LAB}.yaml").nodes
}


@dataclass(frozen=True)
class Numbers:
    """What a node's counter says of itself."""

    memory: int
    disk: int
    confirmed: int  # by its peer
    ended: str  # why; "": it goes on


def told(node: str) -> Numbers:
    """Ask a node's counter."""
    with socket.create_connection((ADDRESSES[node], 7701), timeout=30) as connection:
        memory, disk, confirmed, ended = connection.makefile().readline().split(" ", 3)
    return Numbers(int(memory), int(disk), int(confirmed), ended.strip())


@pytest.fixture
def counting(stacklab: Stacklab, lab: Run) -> Iterator[None]:
    """Each node counts, and has the next one confirm that."""
    end_counting()
    script = COUNTER.read_text()
    for position, node in enumerate(NODES):
        peer = NODES[(position + 1) % len(NODES)]
        arguments = f"{ADDRESSES[node]} {ADDRESSES[peer]}"
        stacklab.on(LAB, node, f"cat > counter.py <<'END'\n{script}\nEND")
        stacklab.on(
            LAB, node, f"nohup python3 counter.py {arguments} </dev/null >counter.log 2>&1 &"
        )
    wait_until(lambda: all_count(), "counting on every node", 60)
    yield
    end_counting()


def end_counting() -> None:
    """End the counter on every node that answers.

    Where a node's kernel hung, the test is run once more: on the other nodes its first counter may
    still be there, and two of them would take each other's file away.
    """
    for node in NODES:
        remains = "while pkill -f '[p]ython3 counter.py'; do sleep 0.1; done"
        argv = ("ssh", "-F", str(HOME / "labs" / LAB / "ssh_config"), node, remains)
        subprocess.run(argv, check=False, timeout=120)


def all_count() -> bool:
    try:
        return all(told(node).confirmed > 3 for node in NODES)
    except (OSError, ValueError):
        return False


def assert_all_agree() -> int:
    """Memory, disk and the peer's view of each node are at most two steps apart; returns the least."""
    numbers = []
    for node in NODES:
        state = told(node)
        assert state.ended == "", (node, state)
        # The disk is written before memory is changed, the peer is asked after that. The counter
        # goes on while it answers, by a step or two.
        assert abs(state.disk - state.memory) <= 2, (node, state)
        assert abs(state.memory - state.confirmed) <= 2, (node, state)
        numbers.append(state.memory)
    return min(numbers)


def test_memory_disks_and_connections_are_of_one_instant(
    stacklab: Stacklab, counting: None
) -> None:
    run = stacklab.ok("lab.snapshot", LAB, "--name", "counting")
    print(f"lab.snapshot took {run.elapsed_s:.1f} s: {run.out}")
    try:
        for _ in range(ROUNDS):
            first = assert_all_agree()
            time.sleep(2)
            assert assert_all_agree() > first
            for node in NODES:
                stacklab.on(LAB, node, "touch /var/tmp/made-later")
            run = stacklab.ok("lab.restore", LAB, "counting")
            print(f"lab.restore took {run.elapsed_s:.1f} s")
            for node in NODES:
                assert "made-later" not in stacklab.on(LAB, node, "ls /var/tmp")
            restored = assert_all_agree()
            time.sleep(2)
            assert assert_all_agree() > restored
        assert "booted again" not in stacklab.check(LAB, "--wait", "60").out
    finally:
        stacklab.ok("lab.snapshot-delete", LAB, "counting")


def test_disks_are_whole_though_libvirtd_was_restarted_before(
    stacklab: Stacklab, lab: Run, our_libvirtd: OwnLibvirtd
) -> None:
    """See tools.libvirt.xml.without_backing_stores."""
    checksum = "sha256sum /home/stack/written"
    from_disk = f"echo 3 | sudo tee /proc/sys/vm/drop_caches >/dev/null; {checksum}"
    write = f"head -c 1M /dev/urandom > /home/stack/written; sync; {checksum}"
    written = {node: stacklab.on(LAB, node, write) for node in NODES}
    our_libvirtd.restart()
    stacklab.ok("lab.snapshot", LAB, "--name", "restarted")
    try:
        assert {node: stacklab.on(LAB, node, from_disk) for node in NODES} == written
        stacklab.ok("lab.restore", LAB, "restarted")
        assert {node: stacklab.on(LAB, node, from_disk) for node in NODES} == written
    finally:
        stacklab.ok("lab.snapshot-delete", LAB, "restarted")
