"""lab.up of mini-2node from nothing: killed, interrupted, refused; the last test leaves it up."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from stacklab.paths.project import PROJECT
from tests.live.labs import CONTAINERS, HOME, MINI, NOT_COPIED, VMS, all_passed, as_kind
from tests.live.remains import assert_gone, left_of, virsh
from tests.live.typed import Stacklab

pytestmark = pytest.mark.live


# When a lab.up is killed, in seconds after its start: VMs take a minute, containers two seconds.
KILLS = {VMS: (1.2, 3.0), CONTAINERS: (0.6, 1.1, 1.6)}
KILLS_OF_ONE_UP = {VMS: (0.6, 2.0, 6.0), CONTAINERS: (0.4, 0.8, 1.2)}


def kill_an_up(stacklab: Stacklab, kind: str, after_s: float) -> None:
    process = stacklab.start("lab.up", MINI, *as_kind(kind))
    time.sleep(after_s)
    has_ended = process.poll() is not None
    process.kill()
    _, err = process.communicate()
    assert not has_ended, f"lab.up ended before it was killed after {after_s} s: {err[-2000:]}"


@pytest.mark.kinds("containers", "vms")
def test_ctrl_c_says_how_to_go_on(stacklab: Stacklab, mini_absent: str, kind: str) -> None:
    process = stacklab.start("lab.up", MINI, *as_kind(kind))
    # As soon as it has begun to make the lab; before that, it is Python that is interrupted.
    deadline = time.monotonic() + 60
    while not (HOME / "labs" / MINI).exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(5 if kind == VMS else 0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    words = " ".join(("lab.up", MINI, *as_kind(kind)))
    assert f"next: ./invoke {words} (it goes on from here)" in err
    assert "Traceback" not in err
    stacklab.ok("lab.destroy", MINI)
    assert left_of(MINI) == []


@pytest.mark.kinds("vms", only=True)
def test_a_node_that_never_answers_is_given_up_with_evidence(
    stacklab: Stacklab, mini_absent: str, tmp_path: Path
) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(PROJECT, checkout, ignore=shutil.ignore_patterns(*NOT_COPIED))
    spec = checkout / "labs" / f"{MINI}.yaml"
    spec.write_text(spec.read_text() + "\nchecks:\n  boot_timeout: 1\n")
    mine = Stacklab(
        checkout=checkout, environment={**stacklab.environment, "PYTHONPATH": str(checkout)}
    )
    run = mine.run("lab.up", MINI)
    assert run.code == 4
    for word in ("does not answer on 192.168.151.11", "NIC eth0", "lease", "console"):
        assert word in run.err
    mine.ok("lab.destroy", MINI)
    assert left_of(MINI) == []


def test_a_taken_subnet_is_found_before_anything_is_made(
    stacklab: Stacklab, mini_absent: str, kind: str
) -> None:
    subprocess.run(("ip", "link", "add", "taken0", "type", "bridge"), check=True)
    try:
        subprocess.run(("ip", "addr", "add", "192.168.151.77/24", "dev", "taken0"), check=True)
        run = stacklab.run("lab.up", MINI, *as_kind(kind))
    finally:
        subprocess.run(("ip", "link", "del", "taken0"), check=True)
    assert run.code == 9
    assert "192.168.151.0/24" in run.err
    assert "taken0" in run.err
    assert "next:" in run.err
    assert left_of(MINI) in ([], [f"lock {HOME}/locks/lab.{MINI}.lock"])


@pytest.mark.kinds("vms", only=True)
def test_somebody_elses_domain_of_the_same_name_is_never_touched(
    stacklab: Stacklab, mini_absent: str
) -> None:
    xml = (
        "<domain type='qemu'><name>mini-2node_node1</name><memory unit='MiB'>64</memory>"
        "<os><type arch='x86_64'>hvm</type></os></domain>"
    )
    subprocess.run(
        ("virsh", "define", "/dev/stdin"), input=xml, text=True, check=True, capture_output=True
    )
    try:
        run = stacklab.run("lab.up", MINI)
        assert run.code == 4
        assert "mini-2node_node1" in run.err
        stacklab.ok("lab.destroy", MINI)
        assert "mini-2node_node1" in virsh("list", "--all")
    finally:
        subprocess.run(("virsh", "undefine", "mini-2node_node1"), check=True, capture_output=True)


# The ups come last, and the last of them leaves the lab up for the next files.
@pytest.mark.kinds("containers", "vms")
def test_a_killed_up_is_destroyed(stacklab: Stacklab, mini_absent: str, kind: str) -> None:
    for after_s in KILLS[kind]:
        kill_an_up(stacklab, kind, after_s)
        stacklab.ok("lab.destroy", MINI)
        assert_gone(MINI)


@pytest.mark.kinds("containers", "vms")
def test_an_up_that_is_killed_three_times_goes_on_when_it_is_called_again(
    stacklab: Stacklab, mini_absent: str, kind: str
) -> None:
    """Each kill comes later and finds what the one before it left; the last finds nodes that boot.

    The lab.reap of test_ci_recipes.py sees that nothing of it is left after destroy.
    """
    for after_s in KILLS_OF_ONE_UP[kind]:
        kill_an_up(stacklab, kind, after_s)
    assert all_passed(MINI, kind) in stacklab.ok("lab.up", MINI, *as_kind(kind)).out
