"""A real OpenStack: installed by lab.up, proved by two tenants' VMs, broken on purpose."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab.checks.result import Layer
from tests.live.labs import CLOUD, all_passed, as_kind
from tests.live.remains import assert_gone
from tests.live.typed import Run, Stacklab, flat

pytestmark = pytest.mark.live

# Nodes that were rebooted have all their services back after so many seconds at most.
BACK_S = "240"


@pytest.fixture(scope="module")
def cloud(stacklab: Stacklab, kind: str) -> Iterator[Run]:
    """Bring openstack-3node up, once for this file."""
    built = stacklab.ok("image.build", "debian-12-openstack")
    print(f"image.build debian-12-openstack took {built.elapsed_s:.0f} s")
    up = stacklab.ok("lab.up", CLOUD, *as_kind(kind))
    print(f"lab.up {CLOUD} took {up.elapsed_s:.0f} s")
    yield up
    stacklab.ok("lab.destroy", CLOUD)
    assert_gone(CLOUD)


def first_start(stacklab: Stacklab, node: str) -> str:
    """When the node's PID 1 was started: field 22 of its stat."""
    return stacklab.on(CLOUD, node, "cut -d' ' -f22 /proc/1/stat").strip()


def test_lab_up_installs_the_cloud_and_all_its_services_run(
    stacklab: Stacklab, cloud: Run, kind: str
) -> None:
    assert "services@controller" in cloud.err
    run = stacklab.check(CLOUD, "--layer", "services")
    assert all_passed(CLOUD, kind, Layer.SERVICES) in flat(run.out)
    # What is done is not done again.
    assert "place the configuration" in cloud.err
    assert "place the configuration" not in stacklab.ok("lab.stack", CLOUD).err


def test_the_client_finds_the_cloud(stacklab: Stacklab, cloud: Run) -> None:
    listed = stacklab.ok("lab.cloud", CLOUD, "--", "hypervisor", "list", "-f", "json")
    names = {row["Hypervisor Hostname"] for row in json.loads(listed.out)}
    assert names == {"compute1", "compute2"}
    assert "OS_CLIENT_CONFIG_FILE=" in stacklab.ok("lab.openrc", CLOUD).out


def test_a_service_that_ended_is_told_by_name(stacklab: Stacklab, cloud: Run) -> None:
    unit = "stacklab-nova-scheduler.service"
    stacklab.on(CLOUD, "controller", f"sudo systemctl stop {unit}")
    try:
        run = stacklab.run("lab.check", CLOUD, "--layer", "services", "--wait", "0")
        assert run.code == 5
        assert unit in flat(run.out)
    finally:
        stacklab.on(CLOUD, "controller", f"sudo systemctl start {unit}")
    stacklab.check(CLOUD, "--layer", "services", "--wait", BACK_S)


def test_nodes_that_were_rebooted_come_back_with_their_services(
    stacklab: Stacklab, cloud: Run
) -> None:
    rebooted = ("controller", "compute1")
    before = [first_start(stacklab, node) for node in rebooted]
    for node in rebooted:
        # A moment later: it could end the session before that has told its exit code.
        reboot = "sleep 1; sudo systemctl reboot"
        stacklab.on(CLOUD, node, f"nohup sh -c '{reboot}' >/dev/null 2>&1 </dev/null &")
    time.sleep(5)  # so that the first look does not find them before they go down
    stacklab.check(CLOUD, "--wait", BACK_S)
    after = [first_start(stacklab, node) for node in rebooted]
    assert not set(before) & set(after)


def test_two_vms_on_two_computes_ping_and_log_in_to_each_other(
    stacklab: Stacklab, cloud: Run, tmp_path: Path
) -> None:
    """Last: it also proves that the cloud works after the reboots."""
    report = tmp_path / "report.json"
    run = stacklab.check(CLOUD, "--layer", "services,cloud", "--json", str(report))
    print(f"the proof took {run.elapsed_s:.0f} s")
    passed = {
        check["subject"]
        for check in json.loads(report.read_text())["checks"]
        if check["kind"] == "cloud" and check["status"] == "passed"
    }
    for one, other in (("compute1", "compute2"), ("compute2", "compute1")):
        assert f"vm-{one} pings vm-{other}" in passed
        assert f"vm-{one} logs in to vm-{other}" in passed
    assert "vm-compute1 moves to the compute of vm-compute2, which pings it" in passed
    assert "vm-compute2 is made larger" in passed
    left = stacklab.ok("lab.cloud", CLOUD, "--", "server", "list", "--all", "-f", "json")
    assert json.loads(left.out) == []
