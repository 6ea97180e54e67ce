"""A lab of VMs comes back from its pristine snapshot: after lab.destroy, and by lab.rebuild."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab.paths import PROJECT, HostPaths
from tests.live.labs import HOME, MINI, NOT_COPIED
from tests.live.remains import left_of
from tests.live.typed import Stacklab

pytestmark = [pytest.mark.live, pytest.mark.kinds("vms", only=True)]

PATHS = HostPaths(HOME).lab(MINI)
MARK = "touch /home/stack/mark && sync"
IS_PRISTINE = "test ! -e /home/stack/mark && cat /proc/sys/kernel/random/boot_id"


def states_by_vagrant() -> list[str]:
    """Ask Vagrant in the lab's directory: it wants to see an address of each node, too."""
    argv = ("vagrant", "status")
    said = subprocess.run(argv, cwd=PATHS.root, capture_output=True, text=True, check=True).stdout
    return re.findall(r"(\w+) \(libvirt\)", said)


@pytest.fixture
def kept(stacklab: Stacklab, mini_absent: str) -> Iterator[str]:
    """The lab is up, and its pristine snapshot is kept; returns the boot of node1."""
    settings = HostPaths(HOME).settings
    before = settings.read_text()
    settings.write_text("cache: 4GiB\n")
    try:
        assert stacklab.run("lab.up", MINI).code == 0
        yield stacklab.on(MINI, "node1", IS_PRISTINE)
    finally:
        settings.write_text(before)
        stacklab.run("lab.destroy", MINI, "--purge")


def test_it_comes_back_by_up_and_by_rebuild_and_is_gone_when_it_is_purged(
    stacklab: Stacklab, kept: str, tmp_path: Path
) -> None:
    for command in ("lab.up", "lab.rebuild"):
        stacklab.on(MINI, "node1", MARK)
        if command == "lab.up":
            assert "--purge" in stacklab.ok("lab.destroy", MINI).out
            assert left_of(MINI) == []
        run = stacklab.ok(command, MINI)
        assert "pristine snapshot" in run.out
        # The same boot, without what was written since.
        assert stacklab.on(MINI, "node1", IS_PRISTINE) == kept
        stacklab.check(MINI)
        assert states_by_vagrant() == ["running", "running"]

    # With another spec it would be a cold start, and lab.plan says why.
    checkout = tmp_path / "checkout"
    shutil.copytree(PROJECT, checkout, ignore=shutil.ignore_patterns(*NOT_COPIED))
    spec = checkout / "labs" / f"{MINI}.yaml"
    spec.write_text(spec.read_text().replace("512MiB", "640MiB"))
    other = Stacklab(
        checkout=checkout, environment={**stacklab.environment, "PYTHONPATH": str(checkout)}
    )
    stacklab.ok("lab.destroy", MINI)
    assert MINI in stacklab.ok("cache.list").out
    assert "from its pristine snapshot" in stacklab.ok("lab.plan", MINI).out
    planned = " ".join(other.ok("lab.plan", MINI).out.split())
    assert "the spec changed since the pristine snapshot" in planned

    stacklab.ok("lab.destroy", MINI, "--purge")
    assert left_of(MINI) == []
    assert not PATHS.snapshots.exists()
