"""Snapshots of containers: disks of both nodes come back, and commands that are killed do no harm."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from stacklab.paths import HostPaths
from tests.live.labs import HOME, MINI, as_kind
from tests.live.remains import left_of
from tests.live.typed import Stacklab

pytestmark = pytest.mark.live

NODES = ("node1", "node2")
BEFORE = """
sudo sh -c 'echo before >/etc/written; rm -f /etc/motd; mkdir -p /var/lib/things/inner
echo before >/var/lib/things/inner/file; head -c 4000000 /dev/zero | tr "\\0" b >/var/lib/database; sync'
"""
# What is there is deleted, renamed, and written in place.
AFTER = """
sudo sh -c 'rm /etc/written; echo after >/etc/motd; mv /var/lib/things /var/lib/others
echo after | dd of=/var/lib/database conv=notrunc 2>/dev/null; echo after >/var/lib/new'
"""
LOOK = """
cat /etc/written /var/lib/things/inner/file; head -c 5 /var/lib/database; stat -c %s /var/lib/database
ls /etc/motd /var/lib/others /var/lib/new 2>/dev/null || :
"""
FOUND = "before\nbefore\nbbbbb4000000\n"


@pytest.fixture
def mini(stacklab: Stacklab, mini_absent: str, kind: str) -> Iterator[str]:
    stacklab.ok("lab.up", MINI, *as_kind(kind))
    for node in NODES:
        stacklab.on(MINI, node, BEFORE)
    yield MINI
    stacklab.ok("lab.destroy", MINI)
    assert left_of(MINI) == []
    assert not HostPaths(HOME).lab(MINI).snapshots.exists()


def assert_as_before(stacklab: Stacklab) -> None:
    for node in NODES:
        assert stacklab.on(MINI, node, LOOK) == FOUND, node


def test_both_nodes_boot_from_their_disks_of_then(stacklab: Stacklab, mini: str) -> None:
    run = stacklab.ok("lab.snapshot", mini, "--name", "then")
    assert "disks only: nodes boot from it" in run.out
    print(f"lab.snapshot took {run.elapsed_s:.1f} s: {run.out}")
    assert_as_before(stacklab)
    for _ in range(2):
        for node in NODES:
            stacklab.on(mini, node, AFTER)
        run = stacklab.ok("lab.restore", mini, "then")
        print(f"lab.restore took {run.elapsed_s:.1f} s")
        assert_as_before(stacklab)
    stacklab.check(mini, "--wait", "60")
    # Also a lab whose nodes were made again.
    stacklab.ok("lab.rebuild", mini, "--no-checks")
    stacklab.ok("lab.restore", mini, "then")
    assert_as_before(stacklab)
    stacklab.ok("lab.down", mini)
    stacklab.ok("lab.up", mini, "--no-checks")
    assert_as_before(stacklab)


@pytest.mark.parametrize("after_s", [1.0])
def test_killed_commands_are_finished_or_undone_by_the_next(
    stacklab: Stacklab, mini: str, after_s: float
) -> None:
    intent = HostPaths(HOME).lab(mini).snapshot_intent
    stacklab.ok("lab.snapshot", mini, "--name", "then")
    for words in (("lab.snapshot", mini, "--name", "cut"), ("lab.restore", mini, "then")):
        process = stacklab.start(*words)
        while not intent.exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(after_s)
        process.kill()
        process.communicate()
        run = stacklab.ok("lab.up", mini, "--no-checks")
        print(f"{words[0]} was killed after {after_s} s; lab.up: {run.err[-300:]}")
        assert not intent.exists()
        assert_as_before(stacklab)
    for listed in json.loads(stacklab.ok("lab.snapshots", mini, "--json").out):
        stacklab.ok("lab.restore", mini, listed["name"])
        assert_as_before(stacklab)
    stacklab.check(mini, "--wait", "60")
