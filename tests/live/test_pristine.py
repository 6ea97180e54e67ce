"""A lab of VMs comes back from its pristine snapshot: after lab.destroy, and by lab.rebuild.

Its nodes have a further disk each, which goes back with them, here and by lab.restore.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab.paths import HostPaths
from stacklab.paths.project import PROJECT
from tests.live.labs import HOME, MINI, NOT_COPIED
from tests.live.remains import left_of
from tests.live.typed import Stacklab

pytestmark = [pytest.mark.live, pytest.mark.kinds("vms", only=True)]

PATHS = HostPaths(HOME).lab(MINI)
MEMORY = "    memory: 512MiB\n"
DISKS = "    disks: [{size: 64MiB}]\n"
NODES = ("node1", "node2")
DISK = "/dev/disk/by-id/virtio-disk1"
MARK = "touch /home/stack/mark && sync"
IS_PRISTINE = "test ! -e /home/stack/mark && cat /proc/sys/kernel/random/boot_id"


class Disks:
    """The nodes' further disks, as each node reads its own past the page cache."""

    def __init__(self, stacklab: Stacklab) -> None:
        self.stacklab = stacklab

    def write(self, counter: int) -> None:
        command = f"echo {counter} | sudo dd of={DISK} conv=fsync status=none"
        for node in NODES:
            self.stacklab.on(MINI, node, command)

    def read(self) -> list[str]:
        command = f"sudo dd if={DISK} iflag=direct bs=4096 count=1 status=none | tr -d '\\0'"
        return [self.stacklab.on(MINI, node, command).strip() for node in NODES]


def states_by_vagrant() -> list[str]:
    """Ask Vagrant in the lab's directory: it wants to see an address of each node, too."""
    argv = ("vagrant", "status")
    said = subprocess.run(argv, cwd=PATHS.root, capture_output=True, text=True, check=True).stdout
    return re.findall(r"(\w+) \(libvirt\)", said)


@pytest.fixture
def ours(stacklab: Stacklab, mini_absent: str, tmp_path: Path) -> Stacklab:
    """A checkout whose mini-2node has a further disk for each node."""
    checkout = tmp_path / "checkout"
    shutil.copytree(PROJECT, checkout, ignore=shutil.ignore_patterns(*NOT_COPIED))
    change_spec(checkout, MEMORY, MEMORY + DISKS)
    environment = {**stacklab.environment, "PYTHONPATH": str(checkout)}
    return Stacklab(checkout=checkout, environment=environment)


def change_spec(checkout: Path, old: str, new: str) -> None:
    spec = checkout / "labs" / f"{MINI}.yaml"
    text = spec.read_text()
    assert old in text
    spec.write_text(text.replace(old, new))


@pytest.fixture
def kept(ours: Stacklab) -> Iterator[str]:
    """The lab is up, and its pristine snapshot is kept; returns the boot of node1."""
    settings = HostPaths(HOME).settings
    before = settings.read_text()
    settings.write_text("cache: 4GiB\n")
    try:
        assert ours.run("lab.up", MINI).code == 0
        yield ours.on(MINI, "node1", IS_PRISTINE)
    finally:
        settings.write_text(before)
        # By this checkout: the lab is not another's to destroy.
        ours.run("lab.destroy", MINI, "--purge")


def test_it_comes_back_by_up_and_by_rebuild_and_is_gone_when_it_is_purged(
    ours: Stacklab, kept: str
) -> None:
    disks = Disks(ours)
    assert disks.read() == ["", ""]
    for command in ("lab.up", "lab.rebuild"):
        ours.on(MINI, "node1", MARK)
        disks.write(1)
        if command == "lab.up":
            assert "--purge" in ours.ok("lab.destroy", MINI).out
            assert left_of(MINI) == []
        run = ours.ok(command, MINI)
        assert "pristine snapshot" in run.out
        # The same boot, without what was written since.
        assert ours.on(MINI, "node1", IS_PRISTINE) == kept
        assert disks.read() == ["", ""]
        ours.check(MINI)
        assert states_by_vagrant() == ["running", "running"]

    disks.write(2)
    ours.ok("lab.snapshot", MINI, "--name", "second")
    disks.write(3)
    ours.ok("lab.restore", MINI, "second")
    assert disks.read() == ["2", "2"]

    # With another spec it would be a cold start, and lab.plan says why.
    ours.ok("lab.destroy", MINI)
    assert MINI in ours.ok("cache.list").out
    assert "from its pristine snapshot" in ours.ok("lab.plan", MINI).out
    change_spec(ours.checkout, DISKS, "")
    planned = " ".join(ours.ok("lab.plan", MINI).out.split())
    assert "the spec changed since the pristine snapshot" in planned

    ours.ok("lab.destroy", MINI, "--purge")
    assert left_of(MINI) == []
    assert not PATHS.snapshots.exists()
