"""What the root of a node may do to its host: machine.sh for real, with a node that tries it."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from stacklab.model.state import NodeState
from stacklab.providers.containers.handles import Container
from stacklab.providers.containers.machines import Machines
from tests.contract.containers.tiny_node import CALLS, NEEDS, WAITS, TinyNode

pytestmark = list(NEEDS)

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
"""


@dataclass(frozen=True)
class Tried:
    """What a node of one kind could do, and its first process as the host sees it."""

    is_privileged: bool
    container: Container
    machines: Machines
    became: Mapping[str, str]
    host_id: int  # of the node's root


def whole_init() -> str:
    """Return the init with the numbers of this machine's system calls."""
    words = ("INIT_MODULE", "KEYCTL", "CLOCK_SETTIME")
    values = dict(zip(words, CALLS[platform.machine()], strict=True))
    settings = [f"{name}={value}" for name, value in values.items()]
    return "\n".join((*settings, "BACKING=stacklab-tiny.img", INIT, WAITS))


@pytest.fixture(scope="module", params=[False, True], ids=["unprivileged", "privileged"])
def tried(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tried]:
    node = TinyNode.make(tmp_path_factory.mktemp("node"), whole_init(), is_privileged=request.param)
    try:
        node.start()
        became = node.wait_for_tries()
        root = host_id(node.group)
        yield Tried(node.is_privileged, node.container, node.machines, became, root)
    finally:
        node.remove()
    # Nothing of it is left, its user namespace neither.
    assert node.machines.state(node.container) is NodeState.ABSENT
    assert not node.group.exists()


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
    for _ in range(600):
        if "populated 0" in events.read_text():
            break
        time.sleep(0.1)
    assert "populated 0" in events.read_text()
    assert tried.machines.state(tried.container) is NodeState.OFF
