"""The cloud on the page: services and VMs as a picture, the proof as a list."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest

from stacklab import spec
from stacklab.checks import plan
from stacklab.checks.outcome import Outcome
from stacklab.checks.result import (
    CheckKind,
    CheckResult,
    CheckStatus,
    Layer,
    Reason,
    Selection,
    Verdict,
)
from stacklab.paths.project import LABS
from stacklab.views.page import cloud, html

LAB = spec.load(LABS / "openstack-3node.yaml")
ALL_OF_CLOUD = Selection(layers=frozenset({Layer.SERVICES, Layer.CLOUD}))
SVG = "{http://www.w3.org/2000/svg}"


def results(*failed: str, layers: Selection = ALL_OF_CLOUD) -> list[CheckResult]:
    """Every check passes but these, by their subjects."""
    listed = []
    for check in plan.expected(LAB, layers):
        verdict = Verdict.passed("done")
        if check.subject in failed:
            verdict = Verdict.failed(Reason.STEP_FAILED, "it <fails>")
        listed.append(verdict.of(check))
    return listed


def texts(picture: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(picture).iter(f"{SVG}text")]


def links(picture: str) -> list[str]:
    return [element.get("class", "") for element in ET.fromstring(picture).iter(f"{SVG}path")]


def bad_nodes(picture: str) -> Iterator[str]:
    for group in ET.fromstring(picture).iter(f"{SVG}g"):
        if "bad" in group.get("class", "").split():
            yield group.get("data-node", "")


def test_each_node_has_its_services_and_each_compute_its_vm() -> None:
    picture = cloud.svg(LAB, results())
    words = texts(picture)
    assert {"controller", "compute1", "compute2"} <= set(words)
    assert {"keystone", "neutron-server", "rabbitmq"} <= set(words)
    assert words.count("nova-compute") == 2
    assert {"vm-compute1", "vm-compute2"} <= set(words)
    assert links(picture) == ["link passed"]
    assert list(bad_nodes(picture)) == []


@pytest.mark.parametrize(
    "failed", ["vm-compute1 pings vm-compute2", "vm-compute2 logs in to vm-compute1"]
)
def test_a_way_between_vms_that_fails_is_drawn_so(failed: str) -> None:
    assert links(cloud.svg(LAB, results(failed))) == ["link failed"]


def test_a_node_with_a_service_that_does_not_run_is_marked() -> None:
    unit = "stacklab-keystone.service"
    assert list(bad_nodes(cloud.svg(LAB, results(unit)))) == ["controller"]


def test_services_alone_have_no_vms_and_a_lab_without_a_cloud_no_picture() -> None:
    services = Selection(layers=frozenset({Layer.SERVICES}))
    picture = cloud.svg(LAB, results(layers=services))
    assert "keystone" in texts(picture)
    assert "vm-compute1" not in texts(picture)
    nodes = Selection(layers=frozenset({Layer.NODES}))
    assert cloud.svg(LAB, results(layers=nodes)) == ""
    assert cloud.proof_steps(results(layers=nodes)) == []


def test_the_page_lists_the_proof_and_escapes_what_a_cloud_says() -> None:
    listed = results("boot a VM on each compute")
    run = Outcome(lab=LAB, results=tuple(listed), started_at=0.0, elapsed_s=1.0)
    page = "".join(html.page_parts(run))
    assert 'id="cloud"' in page
    assert "it &lt;fails&gt;" in page
    assert "it <fails>" not in page
    steps = cloud.proof_steps(listed)
    assert [step.title for step in steps if step.status is CheckStatus.FAILED] == [
        "boot a VM on each compute"
    ]
    assert len(steps) == sum(result.check.kind is CheckKind.CLOUD for result in listed)
