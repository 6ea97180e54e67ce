"""lab.stack on real nodes: its work survives all that may happen to those who watch it.

With the fake installer, in a copy of the project, whose stages count slowly.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab.paths.project import PROJECT
from tests.live import typed
from tests.live.labs import HOME, NOT_COPIED, as_kind
from tests.live.slow_stages import LINES
from tests.live.typed import Stacklab, flat

pytestmark = pytest.mark.live

wait_until = functools.partial(typed.wait_until, limit_s=300)

LAB = "slow-2node"
DIRECTORY = HOME / "labs" / LAB
LOG = DIRECTORY / "stack" / "logs" / "control@controller.log"
FETCH = "fetch@compute"
FETCH_LOG = LOG.with_name(f"{FETCH}.log")
SPEC = """\
description: Two nodes whose installer counts slowly
image: debian-12
networks:
  net: {cidr: 192.168.233.0/24, mode: nat}
nodes:
  controller: {role: controller, memory: 512MiB, nics: [{network: net}]}
  compute: {role: compute, memory: 512MiB, nics: [{network: net}]}
stack: {installer: fake, network: net}
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project that has the fake installer."""
    made = tmp_path_factory.mktemp("project") / "copy"
    shutil.copytree(PROJECT, made, ignore=shutil.ignore_patterns(*NOT_COPIED), symlinks=True)
    kit = made / "stacklab" / "installers" / "fake"
    shutil.copytree(made / "tests" / "kits" / "fake", kit)
    slow = (made / "tests" / "live" / "slow_stages.py").read_text().partition("annotations\n")[2]
    with (kit / "answers" / "files.py").open("a") as files:
        files.write(slow)
    # Its own repository is nowhere; packages are what its stages really fetch.
    code = kit / "kit.py"
    packages = 'RemoteSource(kind=SourceKind.PACKAGES, url="", phases=("fetch",))'
    text = code.read_text().replace("RemoteSource, git_source", "RemoteSource, SourceKind")
    assert text.count('git_source("https') == 1
    code.write_text(re.sub(r'git_source\("https.*"\)', packages, text))
    words = made / "stacklab" / "model" / "stack.py"
    words.write_text(
        words.read_text().replace(
            '    KOLLA = "kolla"\n', '    KOLLA = "kolla"\n    FAKE = "fake"\n'
        )
    )
    (made / "labs" / f"{LAB}.yaml").write_text(SPEC)
    return made


@pytest.fixture(scope="module")
def slow(copy: Path, image: Path, kind: str) -> Iterator[Stacklab]:
    """The lab is up, and nothing of its installer ran."""
    assert image.is_file()
    typed = Stacklab(
        checkout=copy,
        environment={**os.environ, "STACKLAB_HOME": str(HOME), "PYTHONPATH": str(copy)},
    )
    up = typed.ok("lab.up", LAB, "--no-checks", *as_kind(kind))
    assert f"./invoke lab.stack {LAB}" in up.out
    yield typed
    typed.ok("lab.destroy", LAB)
    assert not DIRECTORY.exists()


def counted() -> list[int]:
    """The numbers that the long step has counted, as the log has them."""
    text = LOG.read_text() if LOG.exists() else ""
    return [int(number) for number in re.findall(r"^line (\d+) of long$", text, re.MULTILINE)]


def cut_connections() -> int:
    """Kill our ssh clients to the lab's nodes, and the shared connections."""
    killed = 0
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if re.match(r"ssh[: ]", line) and str(DIRECTORY) in line:
            os.kill(int(entry.parent.name), signal.SIGKILL)
            killed += 1
    return killed


def test_a_cut_a_kill_and_a_reboot_in_the_middle_are_survived(slow: Stacklab) -> None:
    first = slow.start("lab.stack", LAB)
    wait_until(lambda: len(counted()) >= 3, "counting")
    assert cut_connections() > 0
    before = len(counted())
    wait_until(lambda: len(counted()) > before + 2, "counting after the cut")
    first.kill()
    first.communicate()
    killed_at = len(counted())
    assert counted() == list(range(1, killed_at + 1))

    second = slow.start("lab.stack", LAB)
    wait_until(lambda: len(counted()) > killed_at + 2, "counting after the kill")
    # What was written while nobody looked is there, and nothing twice.
    assert counted() == list(range(1, len(counted()) + 1))
    slow.on(LAB, "controller", "sudo systemctl --no-block reboot")
    run = slow.end_of(second, ("lab.stack", LAB), time.monotonic())
    assert run.code == 0, run.err
    assert "controller went down in the middle of: long; it is run again (1 of 2)" in run.err
    numbers = counted()
    rebooted_at = len(numbers) - LINES
    assert 0 < rebooted_at < LINES
    assert numbers == [*range(1, rebooted_at + 1), *range(1, LINES + 1)]
    # The step before the reboot was not run again; the one that it hit came to its end once.
    assert slow.on(LAB, "controller", "cat ran").split() == ["short", "long"]
    assert slow.on(LAB, "compute", "cat ran").split() == ["join"]


def test_what_is_done_is_passed_over_and_seen(slow: Stacklab) -> None:
    run = slow.ok("lab.stack", LAB)
    assert run.out.count("done before") >= 2
    assert "stages done" in slow.ok("lab.status", LAB).out
    assert slow.on(LAB, "compute", "cat ran").split() == ["join"]


def test_ctrl_c_and_following_leave_the_work_alone(slow: Stacklab) -> None:
    first = slow.start("lab.stack", LAB, "--from", "control@controller")
    # The log of the attempt before is kept beside that of the new one.
    before = LOG.with_name(f"{LOG.name}.1")
    wait_until(lambda: before.exists() and len(counted()) >= 1, "counting")
    follower = slow.start("lab.stack", LAB, "--follow")
    time.sleep(4)
    follower.send_signal(signal.SIGINT)
    followed = slow.end_of(follower, ("lab.stack", LAB, "--follow"), time.monotonic())
    assert followed.code == 130
    assert "control@controller: long" in followed.err
    first.send_signal(signal.SIGINT)
    run = slow.end_of(first, ("lab.stack", LAB), time.monotonic())
    assert run.code == 130
    assert "1 stage goes on on the nodes (control@controller)" in run.err
    assert "running" not in slow.ok("lab.status", LAB).out.partition("stack of")[2]


# Half of all addresses each: the lab's own network has a route that is more precise.
HALVES = ("0.0.0.0/1", "128.0.0.0/1")


def is_another_file(path: Path, inode: int) -> bool:
    """Return True once a log was begun anew: its file is made for each attempt."""
    return path.exists() and path.stat().st_ino != inode


def begin_fetching(slow: Stacklab, *words: str) -> subprocess.Popen[str]:
    """Run stages up to the one that fetches, and wait until it waits for us."""
    slow.on(LAB, "compute", "sudo touch /run/hold")
    logged = FETCH_LOG.stat().st_ino if FETCH_LOG.exists() else 0
    process = slow.start("lab.stack", LAB, *words)

    def is_held() -> bool:
        is_new = is_another_file(FETCH_LOG, logged)
        return is_new and "compute, as root: hold" in FETCH_LOG.read_text()

    wait_until(lambda: is_held() or process.poll() is not None, "holding")
    return process


def test_two_at_once_are_refused_by_name(slow: Stacklab) -> None:
    # The work of the stage that the test before left running is gone on with.
    first = begin_fetching(slow)
    assert first.poll() is None, first.communicate()
    second = slow.run("lab.stack", LAB)
    slow.on(LAB, "compute", "sudo rm /run/hold")
    run = slow.end_of(first, ("lab.stack", LAB), time.monotonic())
    assert second.code == 4
    assert f"./invoke lab.stack {LAB} --follow shows what runs" in flat(second.err)
    assert run.code == 0, run.err


def test_a_mirror_that_is_gone_in_the_middle_is_told_and_then_waited_for_by_nobody(
    slow: Stacklab,
) -> None:
    process = begin_fetching(slow, "--from", FETCH)
    for half in HALVES:
        slow.on(LAB, "compute", f"sudo ip route add unreachable {half}")
    slow.on(LAB, "compute", "sudo rm /run/hold")
    run = slow.end_of(process, ("lab.stack", LAB), time.monotonic())
    assert run.code == 11
    assert f"stage {FETCH} failed at step 3 of 3 on compute: update" in flat(run.err)
    assert "usual cause: the mirror is gone" in flat(run.err)
    # Now it is known before anything is begun.
    refused = slow.run("lab.stack", LAB)
    assert refused.code == 11
    assert "packages the node's own APT sources" in flat(refused.err)
    assert "replaced by: stack.mirrors.apt" in flat(refused.err)
    assert refused.elapsed_s < 60
    for half in HALVES:
        slow.on(LAB, "compute", f"sudo ip route del unreachable {half}")
    resumed = slow.ok("lab.stack", LAB)
    rows = [line.split() for line in resumed.out.splitlines() if "@" in line]
    assert [row[0] for row in rows if row[2:4] != ["done", "before"]] == [FETCH]


def test_a_command_that_is_killed_in_each_stage_goes_on(slow: Stacklab) -> None:
    slow.on(LAB, "compute", "rm -f ran")
    for stage in ("control@controller", "join@compute", FETCH):
        log = LOG.with_name(f"{stage}.log")
        before = log.stat().st_ino
        process = slow.start("lab.stack", LAB, "--from", stage)
        wait_until(functools.partial(is_another_file, log, before), f"in {stage}")
        process.kill()
        process.communicate()
    run = slow.ok("lab.stack", LAB)
    assert "Traceback" not in run.err
    # Each went on where it was left, or began again; none ran twice at a time.
    assert "done" in slow.ok("lab.status", LAB).out
    assert slow.on(LAB, "compute", "sort -u ran").split() == ["join"]


def test_a_disk_that_is_full_in_the_middle_is_told_and_gone_on_from(slow: Stacklab) -> None:
    """A disk of its own for units: filling the node's real one would fill this host's."""
    units = "/var/lib/stacklab-units"
    slow.on(LAB, "compute", f"sudo mount -t tmpfs -o size=1m tmpfs {units} && sudo touch /run/talk")
    run = slow.run("lab.stack", LAB, "--from", FETCH)
    assert run.code == 11
    assert "talk: exit code 1; the node's disk is full" in flat(run.err)
    again = slow.run("lab.stack", LAB)
    assert again.code == 11
    slow.on(LAB, "compute", f"sudo umount {units} && sudo rm /run/talk")
    slow.ok("lab.stack", LAB)
