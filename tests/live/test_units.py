"""Work that was left on a real node: it goes on, and whoever attaches again misses nothing.

On mini-2node, which may be up already; it is left up for test_ci_recipes.py.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab.errors import CommandFailed
from stacklab.nodes.unit_status import UnitPhase
from stacklab.nodes.units import Attached, Units
from stacklab.paths import HostPaths
from stacklab.paths.project import PROJECT
from stacklab.process import SubprocessRunner
from tests.live import typed
from tests.live.labs import CONTAINERS, HOME, as_kind, first_process
from tests.live.typed import Stacklab

pytestmark = pytest.mark.live

wait_until = functools.partial(typed.wait_until, limit_s=60)

LAB = "mini-2node"
NODE = "node1"
CONFIG = HOME / "labs" / LAB / "ssh_config"
BIG = 100 * 1024 * 1024
# Follows a unit in a process of its own: appends to a file, and goes on where that ends.
FOLLOWER = """\
import pathlib, re, sys
from stacklab.nodes.units import Units
from stacklab.paths import HostPaths
from stacklab.process import SubprocessRunner

home, lab, node, name, path = sys.argv[1:]
units = Units(SubprocessRunner(), HostPaths(pathlib.Path(home)).lab(lab), node)

def peak_kib():  # getrusage would tell the peak of the process that started us
    return int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])

before = peak_kib()
with open(path, "ab", buffering=0) as file:
    attached = units.follow(name, heard=file.write, offset=file.tell())
status = attached.status
print(status.phase, status.exit_code, attached.offset, peak_kib() - before)
"""


@pytest.fixture(scope="module")
def units(stacklab: Stacklab, image: Path, kind: str) -> Iterator[Units]:
    """The units of one node of a lab that is up."""
    assert image.is_file()
    stacklab.ok("lab.up", LAB, "--no-checks", *as_kind(kind))
    runner = SubprocessRunner()
    yield Units(runner, HostPaths(HOME).lab(LAB), NODE)
    runner.stop_all()


def follower(name: str, path: Path) -> subprocess.Popen[str]:
    argv = (sys.executable, "-c", FOLLOWER, str(HOME), LAB, NODE, name, str(path))
    return subprocess.Popen(argv, cwd=PROJECT, stdout=subprocess.PIPE, text=True)


def ssh_processes() -> list[int]:
    """Our ssh clients to that node, and the shared connection that they go through."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        is_client = line.startswith("ssh ") and str(CONFIG) in line
        if is_client or line.startswith(f"ssh: {CONFIG.parent}"):
            found.append(int(entry.parent.name))
    return found


def on_node(command: str) -> bytes:
    argv = ("ssh", "-F", str(CONFIG), NODE, command)
    return subprocess.run(argv, capture_output=True, check=True, timeout=120).stdout


def answers(units: Units) -> bool:
    try:
        units.status("any")
    except CommandFailed:
        return False
    return True


def numbered(count: int, pause_s: float) -> str:
    return f'i=0; while [ $i -lt {count} ]; do echo "line $i"; i=$((i + 1)); sleep {pause_s}; done'


def lines(count: int) -> bytes:
    return b"".join(f"line {number}\n".encode() for number in range(count))


# --- how work ends


def test_work_that_reloads_systemd_is_told_how_it_ended(units: Units) -> None:
    """systemd 252 forgets the ExecStopPost of a transient unit at a daemon-reload."""
    units.start("reloads", "sudo systemctl daemon-reload; echo reloaded; exit 3", limit_s=60)
    heard = bytearray()
    attached = units.follow("reloads", heard=heard.extend)
    assert attached.status is not None
    assert (attached.status.phase, attached.status.exit_code) == (UnitPhase.ENDED, 3)
    assert bytes(heard) == b"reloaded\n"
    units.forget("reloads")


def test_work_is_left_on_a_node_and_told_by_its_exit_code(units: Units) -> None:
    script = "echo out; echo err >&2; printf 'a\\377\\n\\nlast'; id -un; pwd; exit 7"
    started = units.start("code", script)
    assert started.phase in (UnitPhase.RUNNING, UnitPhase.ENDED)
    heard = bytearray()
    attached = units.follow("code", heard=heard.extend)
    assert bytes(heard) == b"out\nerr\na\xff\n\nlaststack\n/home/stack\n"
    assert attached.offset == len(heard)
    status = attached.status
    assert status is not None
    assert (status.phase, status.exit_code, status.signal) == (UnitPhase.ENDED, 7, "")
    assert not status.is_ok
    assert status.size == len(heard)
    assert 0 <= (status.ended_at or 0) - status.started_at < 30


def test_a_writer_of_the_works_own_comes_to_its_end(units: Units) -> None:
    heard = bytearray()
    script = "exec bash -c 'exec > >(sleep 1; exec cat); echo last words; exit 4'"
    units.start("slow-writer", script)
    attached = units.follow("slow-writer", heard=heard.extend)
    assert attached.status is not None
    assert attached.status.exit_code == 4
    assert bytes(heard) == b"last words\n"
    units.forget("slow-writer")


def test_the_same_again_starts_nothing_and_other_work_is_refused(units: Units) -> None:
    script = "echo once >>/tmp/once; exit 3"
    units.start("once", script)
    units.follow("once", heard=len)
    again = units.start("once", script)
    assert (again.phase, again.exit_code) == (UnitPhase.ENDED, 3)
    assert on_node("cat /tmp/once") == b"once\n"
    with pytest.raises(CommandFailed, match="another script under the name once"):
        units.start("once", "exit 4")
    units.forget("once")
    assert units.status("once").phase is UnitPhase.ABSENT
    units.start("once", script)
    units.follow("once", heard=len)
    assert on_node("cat /tmp/once") == b"once\nonce\n"


def test_work_that_a_signal_or_its_time_limit_ends_is_told_so(units: Units) -> None:
    units.start("killed", "echo before; kill -9 $$", user="root")
    units.start("late", "echo working; exec sleep 600", limit_s=3)
    heard = bytearray()
    killed = units.follow("killed", heard=heard.extend).status
    assert killed is not None
    assert (killed.phase, killed.exit_code, killed.signal) == (UnitPhase.ENDED, None, "KILL")
    assert bytes(heard) == b"before\n"
    late = units.follow("late", heard=len).status
    assert late is not None
    assert (late.phase, late.signal, late.reason) == (UnitPhase.ENDED, "TERM", "timeout")


def test_work_can_be_stopped_and_may_tidy_up(units: Units) -> None:
    units.start("tidy", "trap 'echo tidy; exit 5' TERM; echo on; while :; do sleep 0.2; done")
    with pytest.raises(CommandFailed, match="it still runs"):
        units.forget("tidy")
    wait_until(lambda: units.status("tidy").size, "writing")
    stopped = units.stop("tidy")
    assert (stopped.phase, stopped.exit_code) == (UnitPhase.ENDED, 5)
    heard = bytearray()
    units.attach("tidy", heard=heard.extend)
    first, *_, last = bytes(heard).splitlines()  # between them sh tells that its sleep was ended
    assert (first, last) == (b"on", b"tidy")
    assert units.stop("never-started").phase is UnitPhase.ABSENT


# --- what is lost in the middle


def test_a_connection_that_is_cut_again_and_again_loses_and_repeats_no_byte(units: Units) -> None:
    count = 600  # half a minute of work at least: three cuts and logins fit in
    units.start("cut", numbered(count, 0.05))
    heard = bytearray()
    results: list[Attached] = []
    thread = threading.Thread(
        target=lambda: results.append(units.follow("cut", heard=heard.extend))
    )
    thread.start()
    for _ in range(3):
        before = len(heard)
        wait_until(lambda at=before: len(heard) > at, "heard more")  # type: ignore[misc]
        for process in ssh_processes():
            with contextlib.suppress(ProcessLookupError):  # it went with the one before
                os.kill(process, signal.SIGKILL)
    thread.join(300)
    assert not thread.is_alive()
    assert bytes(heard) == lines(count)
    (attached,) = results
    assert attached.status is not None
    assert attached.status.is_ok


def test_a_control_process_that_is_killed_is_replaced_by_another(
    units: Units, tmp_path: Path
) -> None:
    count = 200
    units.start("orphan", numbered(count, 0.05))
    path = tmp_path / "output"
    first = follower("orphan", path)
    wait_until(lambda: path.exists() and path.stat().st_size > 500, "written")
    first.kill()
    first.communicate()
    size = path.stat().st_size
    assert size < len(lines(count))
    second = follower("orphan", path)
    out, _ = second.communicate(timeout=180)
    assert out.split()[:3] == ["ended", "0", str(len(lines(count)))]
    assert path.read_bytes() == lines(count)


@pytest.mark.kinds("containers", "vms")
@pytest.mark.parametrize("way", ["reboot", "reset"])
def test_a_node_that_goes_down_in_the_middle_is_told_as_such(
    stacklab: Stacklab, units: Units, kind: str, way: str
) -> None:
    script = "i=0; while :; do echo tick $i; i=$((i + 1)); sleep 0.1; done"
    units.start(way, script)
    heard = bytearray()
    results: list[Attached] = []
    thread = threading.Thread(target=lambda: results.append(units.follow(way, heard=heard.extend)))
    thread.start()
    wait_until(lambda: len(heard) > 200, "heard")
    if way == "reboot":
        on_node("sudo systemctl reboot || true")
    elif kind == CONTAINERS:
        os.kill(first_process(LAB, NODE), signal.SIGKILL)
        stacklab.ok("lab.up", LAB, "--no-checks")
    else:
        on_node("sync")
        argv = ("virsh", "-c", "qemu:///system", "reset", f"{LAB}_{NODE}")
        subprocess.run(argv, check=True, capture_output=True, timeout=30)
    thread.join(280)
    assert not thread.is_alive()
    (attached,) = results
    assert attached.status is not None, attached.why
    assert attached.status.phase is UnitPhase.REBOOTED
    assert attached.status.exit_code is None
    ticks = bytes(heard).splitlines()
    whole = [f"tick {number}".encode() for number in range(len(ticks))]
    assert ticks[:-1] == whole[:-1]
    # It shows where it ended, and nothing starts it again behind our back.
    wait_until(lambda: answers(units), "back", limit_s=280)
    again = units.start(way, script)
    assert again.phase is UnitPhase.REBOOTED
    assert again.size > 200
    units.forget(way)
    assert units.status(way).phase is UnitPhase.ABSENT


# --- how much it may write


def test_a_hundred_megabytes_pass_through_and_the_host_keeps_none_of_it(
    units: Units, tmp_path: Path
) -> None:
    line = "0123456789abcde"
    units.start("big", f"yes {line} | head -c {BIG}")
    path = tmp_path / "output"
    started = time.monotonic()
    out, _ = follower("big", path).communicate(timeout=280)
    phase, code, offset, grown_kib = out.split()
    print(f"100 MiB in {time.monotonic() - started:.0f} s; memory grew by {grown_kib} KiB")
    assert (phase, code, int(offset)) == ("ended", "0", BIG)
    expected = hashlib.sha256(f"{line}\n".encode() * (BIG // 16)).hexdigest()
    with path.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == expected
    assert int(grown_kib) < 32 * 1024
    units.forget("big")


def test_what_writes_more_than_is_kept_goes_on_and_the_rest_is_counted(units: Units) -> None:
    size, kept = 3_000_000, 1_000_000
    units.start("babbler", f"yes | head -c {size}; exit 9", most_bytes=kept)
    heard = bytearray()
    status = units.follow("babbler", heard=heard.extend).status
    assert status is not None
    assert (status.exit_code, status.size, status.left_out) == (9, kept, size - kept)
    assert bytes(heard) == b"y\n" * (kept // 2)
