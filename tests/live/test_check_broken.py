"""What lab.check says of a real lab that breaks; each test leaves contrail-3node as it found it."""

from __future__ import annotations

import functools
import os
import re
import signal
import subprocess
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from stacklab.checks.result import Layer
from tests.live import own_libvirtd, typed
from tests.live.labs import (
    HOME,
    LAB,
    MENDED_S,
    NODES,
    VMS,
    all_passed,
    cgroup,
    container,
    count,
    first_process,
)
from tests.live.own_libvirtd import OwnLibvirtd
from tests.live.remains import processes
from tests.live.typed import Run, Stacklab, flat

pytestmark = pytest.mark.live

wait_until = functools.partial(typed.wait_until, limit_s=30)

DIRECTORY = HOME / "labs" / LAB


@dataclass(frozen=True)
class Hand:
    """Does things to nodes of contrail-3node behind stacklab's back."""

    kind: str

    def kill(self, node: str) -> None:
        if self.kind == VMS:
            self._virsh("destroy", node)
        else:
            os.kill(first_process(LAB, node), signal.SIGKILL)

    def suspend(self, node: str) -> None:
        if self.kind == VMS:
            self._virsh("suspend", node)
        else:
            (cgroup(LAB, node) / "cgroup.freeze").write_text("1")

    def resume(self, node: str) -> None:
        if self.kind == VMS:
            self._virsh("resume", node)
        else:
            (cgroup(LAB, node) / "cgroup.freeze").write_text("0")

    def put_cable_in(self, node: str, nic: int, mac: str) -> None:
        if self.kind == VMS:
            self._virsh("domif-setlink", node, mac, "up")
        else:
            argv = ("ip", "link", "set", container(LAB, node).end(nic), "up")
            subprocess.run(argv, check=True, timeout=30)

    def _virsh(self, what: str, node: str, *words: str) -> None:
        argv = ("virsh", "-c", "qemu:///system", what, f"{LAB}_{node}", *words)
        subprocess.run(argv, check=True, capture_output=True, timeout=30)


@pytest.fixture
def hand(kind: str) -> Hand:
    return Hand(kind)


def check_with(stacklab: Stacklab, mishap: Callable[[], object], node: str, *words: str) -> Run:
    """A lab.check in whose middle something happens: while that node is asked."""
    command = ("lab.check", LAB, *words)
    started = time.monotonic()
    process = stacklab.start(*command)
    try:
        wait_until(
            lambda: processes(f"{DIRECTORY}/ssh_config -T -- {node} sh -s"), f"asking {node}"
        )
        time.sleep(0.5)
        mishap()
    except BaseException:
        process.kill()
        raise
    return stacklab.end_of(process, command, started)


@contextmanager
def back_door(node: str, where: Path) -> Iterator[Callable[[str], str]]:
    """A connection of the test's own: it stays when sshd takes no new ones."""
    ssh = ("ssh", "-F", str(DIRECTORY / "ssh_config"), "-o", f"ControlPath={where}/back-door")
    subprocess.run(
        (*ssh, "-fN", node),
        check=True,
        timeout=30,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def run(line: str) -> str:
        return subprocess.run(
            (*ssh, node, line), check=True, capture_output=True, text=True, timeout=30
        ).stdout

    try:
        yield run
    finally:
        subprocess.run((*ssh, "-O", "exit", node), check=False, capture_output=True, timeout=30)


# --- a report's directory, then the lab itself, breaks


def test_a_report_that_can_t_be_written_any_more_costs_no_result(
    stacklab: Stacklab, lab: Run, kind: str, tmp_path: Path
) -> None:
    reports, other = tmp_path / "reports", tmp_path / "c.xml"
    reports.mkdir()

    def replace() -> None:
        reports.rmdir()
        reports.write_text("")

    run = check_with(
        stacklab, replace, "compute1", "--json", f"{reports}/c.json", "--junit", str(other)
    )
    assert run.code == 1, "all passed, and yet not all is well"
    assert f"{reports}/c.json" in run.err
    assert all_passed(LAB, kind, Layer.PAIRS) in run.out
    assert len(list(ET.parse(other).iter("testcase"))) > 100


@pytest.mark.kinds("containers", "vms")
def test_a_node_that_is_killed_while_it_is_checked(
    stacklab: Stacklab, lab: Run, kind: str, hand: Hand
) -> None:
    run = check_with(stacklab, lambda: hand.kill("compute1"), "compute1")
    try:
        assert run.code == 5
        print(f"told {run.elapsed_s:.1f} s after the start of the check (wanted: 20)")
        assert "(try 2" not in run.err, "nobody waits for what is off"
        # libvirt knows why it is off, too.
        reason = " (destroyed)" if kind == VMS else ""
        assert f"cause compute1 is off{reason}" in flat(run.out)
        assert "because compute1 is off" in run.err
        assert "cause unknown" not in run.out, "between the others nothing is wrong"
    finally:
        assert all_passed(LAB, kind) in stacklab.ok("lab.up", LAB).out


def test_a_node_without_sshd(stacklab: Stacklab, lab: Run, tmp_path: Path) -> None:
    with back_door("compute2", tmp_path) as run:
        run("sudo systemctl stop ssh.socket; sudo systemctl stop ssh.service")
        try:
            stacklab.close_connections(LAB, ["compute2"])
            found = stacklab.run("lab.check", LAB, "--layer", "nodes,pairs", "--wait", "0")
        finally:
            run("sudo systemctl start ssh.service")
    assert found.code == 5
    assert re.search(r"cause +compute2 .*refuses TCP 22: sshd is not up", found.out)
    assert "cause unknown" not in found.out
    stacklab.check(LAB, "--layer", "nodes,pairs", "--wait", MENDED_S)


def test_a_node_whose_sshd_goes_while_its_connection_stays(stacklab: Stacklab, lab: Run) -> None:
    stacklab.check(
        LAB, "--layer", "nodes", "--node", "compute2"
    )  # there is a shared connection now
    stacklab.on(LAB, "compute2", "sudo systemctl stop ssh.socket; sudo systemctl stop ssh.service")
    try:
        found = stacklab.run(
            "lab.check", LAB, "--layer", "pairs", "--network", "fabric", "--wait", "0"
        )
    finally:
        stacklab.on(LAB, "compute2", "sudo systemctl start ssh.service")
    assert found.code == 5
    assert (
        "2 because sshd is not up on compute2: nothing listens on TCP 22 (port on fabric;"
        in found.err
    )


def test_a_node_without_fping(stacklab: Stacklab, lab: Run) -> None:
    stacklab.on(LAB, "compute1", "sudo mv /usr/bin/fping /usr/bin/fping.away")
    try:
        run = stacklab.run("lab.check", LAB, "--wait", "0")
    finally:
        stacklab.on(LAB, "compute1", "sudo mv /usr/bin/fping.away /usr/bin/fping")
    assert run.code == 6
    assert "fping is not installed on compute1" in flat(run.out)
    assert "controller eth1 -> compute1" not in run.out, "who has it can tell"


@pytest.mark.kinds("vms", only=True)  # a container's disk is this host's
def test_a_node_whose_disk_is_full(stacklab: Stacklab, lab: Run, kind: str) -> None:
    # More than there is: it takes all, what is kept for root among it.
    stacklab.on(
        LAB,
        "compute1",
        "sudo fallocate -l 48G /full 2>/dev/null || df --output=avail / | grep -qx ' *0'",
    )
    try:
        run = stacklab.run("lab.check", LAB, "--wait", "0")
    finally:
        stacklab.on(LAB, "compute1", "sudo rm /full")
    assert run.code == 5
    assert "failed compute1: root full: 0 B free" in flat(run.out)
    assert f"1 of {count(LAB, kind)} checks did not pass" in run.err, (
        "a full disk keeps nothing else from being tried"
    )


def test_a_node_that_is_frozen(stacklab: Stacklab, lab: Run, kind: str, hand: Hand) -> None:
    run = check_with(
        stacklab, lambda: hand.suspend("compute2"), "compute2", "--layer", "nodes,pairs"
    )
    try:
        print(f"told {run.elapsed_s:.1f} s after the start of the check (wanted: 20)")
        assert run.code == 5
        assert "because compute2 is paused" in run.err
        assert "cause unknown" not in run.out
    finally:
        hand.resume("compute2")
        up = stacklab.ok("lab.up", LAB)
    assert all_passed(LAB, kind) in up.out, "its clock is right again, too"


@pytest.mark.kinds("vms", only=True)  # containers are looked at without libvirtd
def test_libvirtd_restarted_while_it_checks(
    stacklab: Stacklab, lab: Run, kind: str, our_libvirtd: OwnLibvirtd
) -> None:
    run = check_with(stacklab, our_libvirtd.restart, "compute1")
    assert run.code == 0
    assert stacklab.states(LAB) == dict.fromkeys(NODES, "running"), "the nodes never noticed"


@pytest.mark.kinds("vms", only=True)  # containers are looked at without libvirtd
def test_libvirtd_gone_while_it_checks(
    stacklab: Stacklab, lab: Run, kind: str, our_libvirtd: OwnLibvirtd
) -> None:
    run = check_with(
        stacklab, our_libvirtd.end, "compute1", "--layer", "nodes,pairs", "--wait", "0"
    )
    assert run.code == 6, "nothing failed: nobody could tell"
    assert "libvirtd does not answer" in run.out
    assert all_passed(LAB, kind, Layer.PAIRS) in run.out
    assert not own_libvirtd.is_up(), "a check starts nothing"


# --- then it is broken on purpose


@pytest.mark.kinds("containers", "vms")
def test_what_faults_cut_is_cut_and_all_else_works(stacklab: Stacklab, lab: Run) -> None:
    stacklab.ok("lab.fault", LAB, "partition", "fabric", "controller")
    stacklab.ok("lab.fault", LAB, "unplug", "compute1", "eth1")
    expected = stacklab.check(LAB, "--expect", "--layer", "nodes,pairs", "--wait", "30")
    assert re.search(
        r"partition fabric .*: \d+ checks cut, \d+ must still work; all as expected", expected.err
    )
    plain = stacklab.run("lab.check", LAB, "--layer", "nodes,pairs", "--wait", "0")
    assert plain.code == 5
    assert "cause lab.fault partition fabric controller" in flat(plain.out)
    assert "cause lab.fault unplug compute1 eth1" in flat(plain.out)
    assert "cause unknown" not in plain.out
    assert "undone: unplug compute1 eth1" in stacklab.ok("lab.fault", LAB, "--undo").out
    assert "no fault" in stacklab.ok("lab.fault", LAB).out
    stacklab.check(LAB, "--layer", "nodes,pairs", "--wait", MENDED_S)
    assert stacklab.run("lab.check", LAB, "--expect").code == 1, "there is nothing to expect"


def test_a_fault_that_cuts_nothing_is_no_fault(stacklab: Stacklab, lab: Run, hand: Hand) -> None:
    """Somebody puts the cable in again behind our back: what was to be cut works."""
    stacklab.ok("lab.fault", LAB, "link-down", "compute2", "eth1")
    mac = stacklab.on(LAB, "compute2", "cat /sys/class/net/eth1/address").strip()
    hand.put_cable_in("compute2", 1, mac)
    try:
        run = stacklab.run(
            "lab.check", LAB, "--expect", "--layer", "pairs", "--network", "fabric", "--wait", "0"
        )
    finally:
        stacklab.ok("lab.fault", LAB, "--undo", "link-down")
    assert run.code == 5
    assert "link-down compute2 eth1 was to cut it" in flat(run.out)


def test_up_undoes_all_faults(stacklab: Stacklab, lab: Run, kind: str) -> None:
    stacklab.ok("lab.fault", LAB, "pause", "compute2")
    stacklab.ok("lab.fault", LAB, "power-off", "compute1")
    stacklab.check(LAB, "--expect", "--wait", "30", "--layer", "nodes,pairs")
    assert all_passed(LAB, kind) in stacklab.ok("lab.up", LAB).out
    assert "no fault" in stacklab.ok("lab.fault", LAB).out
