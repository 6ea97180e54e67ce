"""The same OpenStack with Linux bridges in place of OVN, with HTTPS and the dashboard."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.live.labs import LINUX_BRIDGES, as_kind
from tests.live.remains import assert_gone
from tests.live.typed import Stacklab

pytestmark = pytest.mark.live


def test_two_vms_of_a_cloud_with_linux_bridges_reach_each_other(
    stacklab: Stacklab, kind: str, tmp_path: Path
) -> None:
    stacklab.ok("image.build", "debian-12-openstack")
    up = stacklab.ok("lab.up", LINUX_BRIDGES, *as_kind(kind))
    print(f"lab.up {LINUX_BRIDGES} took {up.elapsed_s:.0f} s")
    report = tmp_path / "report.json"
    run = stacklab.check(LINUX_BRIDGES, "--layer", "services,cloud", "--json", str(report))
    print(f"the proof took {run.elapsed_s:.0f} s")
    passed = {
        check["subject"]
        for check in json.loads(report.read_text())["checks"]
        if check["kind"] == "cloud" and check["status"] == "passed"
    }
    assert {"vm-a logs in to vm-b", "vm-b logs in to vm-a", "the dashboard lists the VMs"} <= passed
    agents = json.loads(
        stacklab.ok("lab.cloud", LINUX_BRIDGES, "--", "network", "agent", "list", "-f", "json").out
    )
    assert sum(agent["Agent Type"] == "Linux bridge agent" for agent in agents) == 2
    stacklab.ok("lab.destroy", LINUX_BRIDGES)
    assert_gone(LINUX_BRIDGES)
