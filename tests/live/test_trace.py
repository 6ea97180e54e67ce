"""Requests of a real cloud, traced by what its own services log and send."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.live.labs import CLOUD
from tests.live.typed import Run, Stacklab, flat, wait_until

pytestmark = pytest.mark.live

# A service's own word for how long something took, and the times of its lines: 30 ms on a machine
# with nothing else to do.
MOST_APART_S = 0.5
# Steps that this cloud can't show: the agent of another back end, and what is said in steps.yaml.
UNSEEN = {"nova-api checks the token with keystone", "nova-api stores the VM in its database"}
UNSEEN |= {"nova-compute has the VM's data"}


@pytest.fixture(scope="module")
def detailed(stacklab: Stacklab, cloud: Run) -> Run:
    """Have services log all that they do; the last test here ends that."""
    return stacklab.ok("trace.detail", CLOUD)


def is_copying(stacklab: Stacklab) -> bool:
    """Whether RabbitMQ copies its messages."""
    listed = stacklab.on(CLOUD, "controller", "sudo rabbitmqctl -q list_vhosts tracing")
    return "true" in listed


def test_a_boot_is_traced_through_every_service(
    stacklab: Stacklab, detailed: Run, tmp_path: Path
) -> None:
    page = tmp_path / "boot.html"
    run = stacklab.ok("trace.boot", CLOUD, "--json", "--out", str(page))
    print(f"trace.boot took {run.elapsed_s:.1f} s")
    trace: dict[str, Any] = json.loads(run.out)
    steps = {step["title"]: step for step in trace["steps"]}
    assert {title for title, step in steps.items() if step["at"] is None} == UNSEEN
    # In the order in which they must happen, whatever the table says.
    order = (
        "the client gets a token from keystone",
        "the client asks nova for a VM",
        "nova-api tells the conductor to build it",
        "the scheduler takes it up",
        "placement keeps room on the host for it",
        "nova-compute begins to build it",
        "nova-compute begins to start it",
        "the guest runs",
        "nova-compute has built it",
    )
    times = [steps[title]["at"] for title in order]
    assert times == sorted(times)
    (host,) = {action["host"] for action in trace["actions"]}
    assert steps["nova-compute has built it"]["node"] == host
    assert [action["result"] for action in trace["actions"]] == ["Success"]
    assert len(trace["comparisons"]) == 2
    for each in trace["comparisons"]:
        print(each)
        assert abs(each["by_lines_s"] - each["by_service_s"]) < MOST_APART_S, each
    assert trace["states"][-1]["status"] == "ACTIVE"
    assert "the guest runs" in page.read_text()
    left = stacklab.ok("lab.cloud", CLOUD, "--", "server", "list", "--all", "-f", "json")
    assert json.loads(left.out) == []
    # Nova knows it by an id of its own, which leads to the same lines.
    own_id = next(word for word in trace["ids"][1:] if word.startswith("req-"))
    again = json.loads(stacklab.ok("trace.request", CLOUD, own_id, "--json").out)
    assert {line["service"] for line in again["lines"]} >= {"nova-compute", "neutron-server"}


def test_what_somebody_types_is_traced(stacklab: Stacklab, detailed: Run) -> None:
    run = stacklab.ok("trace.run", CLOUD, "--follow", "1", "--", "hypervisor", "list")
    assert "nova-api on controller" in run.out
    assert "compute1" in run.out.partition("openstack hypervisor list")[0]  # the client's own words


def test_messages_of_a_boot_are_drawn(stacklab: Stacklab, detailed: Run, tmp_path: Path) -> None:
    drawn = tmp_path / "boot.svg"
    run = stacklab.ok("trace.messages", CLOUD, "--boot", "--json", "--out", str(drawn))
    sent = json.loads(run.out)
    by_method = {message["method"]: message for message in sent if message["kind"] != "REPLY"}
    build = by_method["build_and_run_instance"]
    assert build["kind"] == "CAST"
    assert build["sender"] == "nova-conductor on controller"
    assert build["receiver"].startswith("nova-compute on compute")
    assert by_method["select_destinations"]["kind"] == "CALL"
    assert by_method["schedule_and_build_instances"]["sender"] == "nova-api on controller"
    assert "REPLY" in {message["kind"] for message in sent}
    assert "auth_token" not in run.out
    names = [each.text for each in ElementTree.parse(drawn).iter() if each.tag.endswith("text")]
    assert "nova-scheduler on controller" in names
    assert not is_copying(stacklab)


def test_the_brokers_queues_are_listed(stacklab: Stacklab, cloud: Run) -> None:
    topology = json.loads(stacklab.ok("trace.messages", CLOUD, "--json").out)
    queues = {queue["name"]: queue for queue in topology["queues"]}
    assert queues["conductor"]["consumers"] >= 1
    assert "nova conductor" in queues["conductor"]["bindings"]
    assert ("nova", "topic") in {(each["name"], each["type"]) for each in topology["exchanges"]}


def test_nothing_is_copied_any_more_once_whoever_watches_is_killed(
    stacklab: Stacklab, cloud: Run
) -> None:
    watching = stacklab.start("trace.messages", CLOUD, "--live", "--for", "120")
    wait_until(lambda: is_copying(stacklab), "copying", 60, pause_s=1)
    watching.kill()
    watching.communicate()
    wait_until(lambda: not is_copying(stacklab), "over", 60, pause_s=1)
    # A killed unit, too.
    watching = stacklab.start("trace.messages", CLOUD, "--live", "--for", "120")
    wait_until(lambda: is_copying(stacklab), "copying", 60, pause_s=1)
    stacklab.on(CLOUD, "controller", "sudo systemctl kill --signal=KILL stacklab-messages")
    wait_until(lambda: not is_copying(stacklab), "over", 30, pause_s=1)
    watching.communicate(timeout=60)


def test_what_is_wrong_is_said(stacklab: Stacklab, cloud: Run) -> None:
    unknown = "req-00000000-0000-4000-8000-000000000000"
    for words, text in (
        (("trace.request", CLOUD, "req-1"), "is not the id of a request"),
        (("trace.request", CLOUD, unknown), "has logged anything of"),
        (("trace.volume", CLOUD), "has no cinder"),
        (("trace.boot", CLOUD, "--node", "compute3"), "no node 'compute3'"),
        (("trace.messages", CLOUD, "--boot", "--out", "x.png"), "are drawn as .svg or .mmd"),
    ):
        run = stacklab.run(*words)
        assert run.code != 0
        assert text in flat(run.err)


def test_services_log_as_usual_again(stacklab: Stacklab, detailed: Run) -> None:
    assert (
        "nova-compute on compute1 logs as usual" in stacklab.ok("trace.detail", CLOUD, "--off").out
    )
    stacklab.check(CLOUD, "--layer", "services", "--wait", "240")
    begin = time.time()
    stacklab.ok("lab.cloud", CLOUD, "--", "server", "list")
    said = stacklab.on(
        CLOUD, "controller", f"sudo journalctl -u stacklab-nova-api --since=@{begin:.0f} -o cat"
    )
    assert " DEBUG " not in said
