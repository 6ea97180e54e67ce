"""One command on a host on which no byte can be written: `python full_disk.py DIRECTORY COMMAND`.

RLIMIT_FSIZE makes each write to a file fail, of this process and of those that it starts, as a
full disk does (but for the number of the error). Files of no bytes and directories can be made: a
full ext4 and tmpfs allow that, too. Libvirt, Vagrant and all programs are fakes.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stacklab import record
from stacklab.checks.expect import Fault, FaultKind
from stacklab.workflow import events, images
from stacklab.workflow.faults import fault_list
from stacklab.workflow.lab import ending, reap
from stacklab.workflow.snapshots import cache
from tests.unit.checks.fake_lab import make_lab
from tests.unit.workflow.fake_host import FakeHost, make_host

_LAB = "trio"


def destroy(host: FakeHost) -> None:
    assert ending.destroy(host.context, _LAB)


def destroy_without_lock(host: FakeHost) -> None:
    """The lock of a lab may have been removed by hand; the file is made anew, and stays empty."""
    host.lab().lock.unlink()
    assert ending.destroy(host.context, _LAB)


def purge(host: FakeHost) -> None:
    assert ending.destroy(host.context, _LAB, purge=True)


def down(host: FakeHost) -> None:
    ending.down(host.context, _LAB)
    assert host.lab().record.exists()


def reap_it(host: FakeHost) -> None:
    (reaped,) = reap.reap(host.context)
    assert reaped.fate is reap.Fate.DESTROYED, reaped


def prune(host: FakeHost) -> None:
    assert len(images.prune(host.context)) == 1


def prune_cache(host: FakeHost) -> None:
    assert cache.prune(host.context, everything=True) == []


COMMANDS: dict[str, Callable[[FakeHost], None]] = {
    "destroy": destroy,
    "destroy-without-lock": destroy_without_lock,
    "destroy-purge": purge,
    "down": down,
    "reap": reap_it,
    "image-prune": prune,
    "cache-prune": prune_cache,
}


def prepare(root: Path, patch: pytest.MonkeyPatch) -> FakeHost:
    """A lab that is up, whose time is over, with a fault, events, and an index of Vagrant's."""
    host = make_host(root, patch)
    host.up(make_lab())
    paths = host.lab()
    index = root / "vagrant.d" / "data" / "machine-index" / "index"
    index.parent.mkdir(parents=True)
    entries = {"a": {"vagrantfile_path": str(paths.root)}, "b": {"vagrantfile_path": "/other"}}
    index.write_text(json.dumps({"version": 1, "machines": entries}))
    kept = record.read(paths)
    assert kept is not None
    made_at = time.time() - 3600
    record.write(paths, dataclasses.replace(kept, created_at=made_at, expires_at=made_at + 60))
    fault_list.write(paths, [Fault(kind=FaultKind.PAUSE, node="compute1")])
    for content in (b"one that nothing is on", b"one that lab.up would take"):
        host.stock(content=content)
    return host


def main() -> None:
    root, name = Path(sys.argv[1]), sys.argv[2]
    patch = pytest.MonkeyPatch()
    host = prepare(root, patch)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    try:
        (root / "a-byte").write_text("x")
    except OSError:
        (root / "a-byte").unlink()
    else:
        raise AssertionError("a byte could be written")
    with events.recorded(host.lab(), f"lab.{name}", None):
        COMMANDS[name](host)
    left = sorted(path.name for path in root.rglob("*") if _LAB in path.name)
    print(json.dumps({"domains": len(host.libvirt.states), "left": left}))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
