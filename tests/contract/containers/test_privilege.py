"""What the root of a node may do to its host: machine.sh for real, with a node that tries it.

The node's root file system is a few programs of this host; its init makes the attempts, and writes
what became of them to a file.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from stacklab.images.root import RootDisk
from stacklab.model.state import NodeState
from stacklab.paths import HostPaths
from stacklab.process import SubprocessRunner
from stacklab.providers.containers import handles
from stacklab.providers.containers.handles import Container
from stacklab.providers.containers.machines import Machines
from stacklab.providers.containers.plans import ContainerPlan
from stacklab.tools.host import cgroups

# Put on the node, with their libraries: all of them are on every Debian.
COPIED = (
    "sh",
    "cat",
    "grep",
    "head",
    "id",
    "mkdir",
    "mknod",
    "mount",
    "perl",
    "sleep",
    "stat",
    "tr",
)
NEEDED = ("systemd-nspawn", "mke2fs", "ldd", "unshare", *COPIED)
MISSING = [program for program in NEEDED if shutil.which(program) is None]

# The numbers of the system calls init_module, keyctl and clock_settime.
CALLS = {"x86_64": (175, 250, 227), "aarch64": (105, 219, 112)}

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="containers are root's"),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.skipif(platform.machine() not in CALLS, reason="its system calls are not known"),
    pytest.mark.skipif(cgroups.root() is None, reason="this host has no cgroup version 2"),
]

INIT = r"""
try() {
    name=$1
    shift
    if "$@" >/said 2>&1; then
        echo "$name: done"
    else
        echo "$name: $(tr '\n' ' ' </said)"
    fi >>/tries
}
# By number, as there is no program for it; nonsense is refused with another error than EPERM.
call() {
    perl -e '@n = map { $_ + 0 } @ARGV; syscall(shift(@n), @n) < 0 && $! == 1 && die "$!\n"' "$@"
}
mount_own_disk() {
    for disk in /sys/block/loop*; do
        grep -q "$1" "$disk/loop/backing_file" 2>/said || continue
        mkdir -p /disk
        mknod /disk.node b $(tr ':' ' ' <"$disk/dev") && mount -t ext4 -o ro,noload /disk.node /disk
        return
    done
    echo "no such disk"
    return 1
}
write_again() { value=$(cat "$1") && echo "$value" >"$1"; }

try seed grep -q secret /dev/vdb
try own-root mkdir /made
try tun stat /dev/net/tun
try core-pattern write_again /proc/sys/kernel/core_pattern
try disk mount_own_disk "$BACKING"
try module call $INIT_MODULE 1 1 1
try keyring call $KEYCTL 0 -3 0
try clock call $CLOCK_SETTIME 0 0
echo "uids: $(cat /proc/self/uid_map)" >>/tries
echo "end: yes" >>/tries
# SIGRTMIN+3, by which systemd-nspawn asks for a power-off.
trap 'exit 0' 37
sleep 600 &
wait
"""


@dataclass(frozen=True)
class Tried:
    """What a node of one kind could do, and its first process as the host sees it."""

    is_privileged: bool
    container: Container
    machines: Machines
    became: Mapping[str, str]
    host_id: int  # of the node's root


def make_disk(directory: Path) -> RootDisk:
    """Return a disk with the programs of this host that a node needs."""
    root = directory / "root"
    for name in ("dev", "etc", "proc", "run", "sys", "tmp", "usr/bin", "usr/lib", "var/log"):
        (root / name).mkdir(parents=True)
    for link in ("bin", "sbin", "lib"):
        (root / link).symlink_to("usr/bin" if link != "lib" else "usr/lib")
    (root / "lib64").symlink_to("usr/lib")
    (root / "etc" / "os-release").write_text("ID=test\n")
    for program in COPIED:
        found = shutil.which(program)
        assert found is not None
        shutil.copy(found, root / "usr" / "bin" / program)
        listed = subprocess.run(("ldd", found), capture_output=True, text=True, check=True).stdout
        for word in listed.split():
            if word.startswith("/"):
                shutil.copy(word, root / "usr" / "lib")
    disk = directory / "stacklab-privilege.img"
    init = root / "usr" / "bin" / "init"
    words = ("INIT_MODULE", "KEYCTL", "CLOCK_SETTIME")
    values = dict(zip(words, CALLS[platform.machine()], strict=True))
    settings = [f"{name}={value}" for name, value in {**values, "BACKING": disk.name}.items()]
    init.write_text("\n".join(("#!/bin/sh", *settings, INIT)))
    init.chmod(0o755)
    argv = ("mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0", "-d", str(root), str(disk), "64M")
    subprocess.run(argv, check=True, capture_output=True)
    return RootDisk(
        path=disk, offset=0, filesystem="ext4", sha256="", size_bytes=64 << 20, mtime_ns=0
    )


@pytest.fixture(scope="module", params=[False, True], ids=["unprivileged", "privileged"])
def tried(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tried]:
    directory = tmp_path_factory.mktemp("node")
    paths = HostPaths(directory).lab("privilege")
    paths.console("node").parent.mkdir(parents=True)
    seed = directory / "seed"
    seed.write_text("secret\n")
    seed.chmod(0o600)
    machine = handles.new_handle()["machine"]
    container = Container(name="node", machine=machine, directory=directory / "node", seed=seed)
    machines = Machines(SubprocessRunner(), paths)
    plan = ContainerPlan(
        name="node",
        cpus="0",
        memory_bytes=256 << 20,
        devices=("/dev/net/tun",),
        nics=(),
        is_privileged=request.param,
    )
    try:
        machines.start(container, plan, make_disk(directory))
        became = wait_for_tries(container, paths.console("node"))
        root = host_id(machines.group(container))
        yield Tried(plan.is_privileged, container, machines, became, root)
    finally:
        machines.remove(container)
    # Nothing of it is left, its user namespace neither.
    assert machines.state(container) is NodeState.ABSENT
    assert not machines.group(container).exists()


def wait_for_tries(container: Container, console: Path) -> dict[str, str]:
    file = container.directory / "upper" / "tries"
    for _ in range(300):
        if file.exists() and "end: yes" in file.read_text():
            return dict(line.split(": ", 1) for line in file.read_text().splitlines())
        time.sleep(0.1)
    pytest.fail(f"the node did not come to its end: {console.read_text()}")


def host_id(group: Path) -> int:
    """Return the host's id of the user that the node's processes run as."""
    (process, *_) = (group / "run" / "payload" / "cgroup.procs").read_text().split()
    return Path("/proc", process).stat().st_uid


def test_it_is_root_where_it_is_at_home(tried: Tried) -> None:
    for wanted in ("seed", "own-root", "tun"):
        assert tried.became[wanted] == "done", tried.became


def test_no_root_loads_modules_sets_the_clock_or_reads_the_hosts_keyring(tried: Tried) -> None:
    for forbidden in ("module", "keyring", "clock"):
        assert "Operation not permitted" in tried.became[forbidden], tried.became


def test_only_a_privileged_root_is_the_hosts(tried: Tried) -> None:
    inside, outside, count = tried.became["uids"].split()
    if tried.is_privileged:
        assert (tried.host_id, inside, outside) == (0, "0", "0")
        # The proof that these attempts can succeed.
        assert tried.became["core-pattern"] == "done", tried.became
        assert tried.became["disk"] == "done", tried.became
    else:
        assert (tried.host_id, inside, count) == (int(outside), "0", "65536")
        assert int(outside) >= 0x7800_0000
        assert "Permission denied" in tried.became["core-pattern"], tried.became
        assert "Operation not permitted" in tried.became["disk"], tried.became


def test_one_process_alone_holds_the_network_into_which_nics_are_plugged(tried: Tried) -> None:
    group = tried.machines.group(tried.container)
    (holder,) = (group / "net" / "cgroup.procs").read_text().split()
    (first, *_) = (group / "run" / "payload" / "cgroup.procs").read_text().split()
    assert Path("/proc", holder, "ns/net").readlink() == Path("/proc", first, "ns/net").readlink()


def test_what_a_node_writes_is_roots_on_the_disk(tried: Tried) -> None:
    status = (tried.container.directory / "upper" / "tries").stat()
    assert (status.st_uid, status.st_gid) == (0, 0)


def test_a_node_that_has_shut_down_leaves_no_process(tried: Tried) -> None:
    tried.machines.stop(tried.container)
    events = tried.machines.group(tried.container) / "cgroup.events"
    for _ in range(100):
        if "populated 0" in events.read_text():
            break
        time.sleep(0.1)
    assert "populated 0" in events.read_text()
    assert tried.machines.state(tried.container) is NodeState.OFF
