"""A real OpenStack: installed by lab.up, proved by two tenants' VMs, broken on purpose."""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path

import pytest

from stacklab.checks.result import Layer
from tests.live.labs import CLOUD, all_passed
from tests.live.typed import Run, Stacklab, flat, wait_until

pytestmark = pytest.mark.live

# Nodes that were rebooted have all their services back after so many seconds at most.
BACK_S = "240"
# Then their reports reach nova and neutron, the slowest a minute later.
REPORTED_S = 180.0
# Neutron and nova miss who has not reported for 75 s.
MISSED_S = 180.0


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


TWO_ASK_AT_ONCE = """
import logging, os, sys, threading, time
sys.path.insert(0, "/etc/stacklab")
import eventlet, stacklab_uwsgi_locks
from oslo_config import cfg
from oslo_log import log

options = cfg.ConfigOpts()
log.register_options(options)
options([])
log.setup(options, "test")

def hold():
    logging._acquireLock()
    time.sleep(0.5)
    logging._releaseLock()

def ask():
    time.sleep(0.1)
    logging.getLogger("other").isEnabledFor(logging.DEBUG)

threads = [threading.Thread(target=each, daemon=True) for each in (hold, ask)]
for each in threads:
    each.start()
for each in threads:
    each.join(20)
print("hang:", sum(each.is_alive() for each in threads), flush=True)
os._exit(0)
"""


def test_two_threads_of_a_service_that_log_at_once_do_not_hang(
    stacklab: Stacklab, cloud: Run
) -> None:
    """Keystone did, by eventlet's locks, and with it whoever had asked it for a token."""
    command = f"python3 -c {shlex.quote(TWO_ASK_AT_ONCE)}"
    assert "hang: 0" in stacklab.on(CLOUD, "controller", command)


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


def assert_cloud_is_whole(stacklab: Stacklab) -> None:
    """Every service and agent reports again, and there is no compute beside the lab's two."""
    stacklab.check(CLOUD, "--layer", "services", "--wait", BACK_S)
    wait_until(lambda: not not_reporting(stacklab), "all reporting", REPORTED_S, pause_s=3)
    listed = stacklab.ok("lab.cloud", CLOUD, "--", "hypervisor", "list", "-f", "json")
    names = [row["Hypervisor Hostname"] for row in json.loads(listed.out)]
    assert sorted(names) == ["compute1", "compute2"]


def not_reporting(stacklab: Stacklab) -> list[str]:
    """The services of nova and the agents of neutron that are not up; all, if no API answers."""
    found = []
    for words, name, is_up in (
        (("compute", "service", "list"), "Binary", lambda row: row["State"] == "up"),
        (("network", "agent", "list"), "Binary", lambda row: row["Alive"] is True),
    ):
        run = stacklab.run("lab.cloud", CLOUD, "--", *words, "-f", "json")
        if run.code != 0:
            found.append(f"{' '.join(words)}: {run.err[-300:]}")
            continue
        found += [f"{row[name]} on {row['Host']}" for row in json.loads(run.out) if not is_up(row)]
    return found


def kill(stacklab: Stacklab, unit: str) -> None:
    """Kill a unit of the controller, and wait until the process that it ran has ended."""

    def main_process() -> str:
        return stacklab.on(CLOUD, "controller", f"systemctl show -P MainPID {unit}")

    before = main_process()
    stacklab.on(CLOUD, "controller", f"sudo systemctl kill --signal=KILL {unit}")
    wait_until(lambda: main_process() != before, f"{unit} killed", 20)


def test_a_database_and_messages_that_were_killed_come_back(stacklab: Stacklab, cloud: Run) -> None:
    kill(stacklab, "stacklab-mariadb")
    kill(stacklab, "stacklab-rabbitmq")
    # What their clients lost comes back in its time: the next test waits longer than that.
    stacklab.check(CLOUD, "--layer", "services", "--wait", BACK_S)


def test_a_compute_that_was_off_comes_back(stacklab: Stacklab, cloud: Run) -> None:
    stacklab.ok("lab.fault", CLOUD, "power-off", "compute2")
    # Until nova calls it down, so that it really has to be told again.
    wait_until(
        lambda: "nova-compute on compute2" in not_reporting(stacklab),
        "missed by nova",
        MISSED_S,
        pause_s=5,
    )
    stacklab.ok("lab.fault", CLOUD, "--undo")
    assert_cloud_is_whole(stacklab)


def test_a_compute_that_is_made_again_is_the_same_to_the_cloud(
    stacklab: Stacklab, cloud: Run
) -> None:
    before = first_start(stacklab, "compute2")
    stacklab.ok("lab.rebuild", CLOUD, "--node", "compute2")
    assert first_start(stacklab, "compute2") != before
    assert_cloud_is_whole(stacklab)


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
