"""A bundle of a lab of VMs: exported, the lab destroyed, imported into the same home, restored."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from stacklab.paths import HostPaths
from tests.live.labs import HOME, LAB, NODES
from tests.live.typed import Run, Stacklab

pytestmark = [pytest.mark.live, pytest.mark.kinds("vms", only=True)]

SNAPSHOT = "carried"


def test_a_lab_comes_back_from_a_bundle_once_it_is_gone(
    stacklab: Stacklab, lab: Run, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle.tar.zst"
    for node in NODES:
        stacklab.on(LAB, node, "echo before >/var/tmp/carried; sync; echo before >/dev/shm/carried")
    stacklab.ok("lab.snapshot", LAB, "--name", SNAPSHOT)
    for node in NODES:
        stacklab.on(LAB, node, "echo after >/var/tmp/carried; echo after >/dev/shm/carried")
    run = stacklab.ok("lab.export", LAB, SNAPSHOT, "--out", str(bundle))
    print(f"lab.export took {run.elapsed_s:.1f} s: {run.out}")
    key = stacklab.ok("lab.export", LAB, SNAPSHOT, "--key").out.strip()
    assert f"key: {key}" in run.out
    stacklab.ok("lab.destroy", LAB)
    # The same key without the lab: what a CI system looks for.
    assert stacklab.ok("lab.export", LAB, SNAPSHOT, "--key").out.strip() == key
    # One that was cut off leaves nothing.
    cut = tmp_path / "cut.tar.zst"
    cut.write_bytes(bundle.read_bytes()[: bundle.stat().st_size * 9 // 10])
    run = stacklab.run("lab.import", str(cut))
    assert run.code == 1
    assert "is not a bundle" in run.err
    assert not HostPaths(HOME).lab(LAB).snapshots.exists()
    run = stacklab.ok("lab.import", str(bundle))
    print(f"lab.import took {run.elapsed_s:.1f} s: {run.out}")
    try:
        run = stacklab.ok("lab.restore", LAB, SNAPSHOT)
        print(f"lab.restore took {run.elapsed_s:.1f} s")
        for node in NODES:
            found = stacklab.on(LAB, node, "cat /var/tmp/carried /dev/shm/carried")
            assert found.split() == ["before", "before"]
        stacklab.check(LAB, "--wait", "60")
        # Vagrant knows the domains, too: they are new ones.
        status = subprocess.run(
            ("vagrant", "status"),
            cwd=HOME / "labs" / LAB,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert len(re.findall(r"running \(libvirt\)", status)) == len(NODES), status
        listed = json.loads(stacklab.ok("lab.snapshots", LAB, "--json").out)
        assert [one["name"] for one in listed] == [SNAPSHOT]
    finally:
        stacklab.ok("lab.snapshot-delete", LAB, SNAPSHOT)
    assert not HostPaths(HOME).lab(LAB).staging().root.exists()
