"""A lab that was brought up by a checkout from before providers had names goes on working."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stacklab import record
from stacklab.checks import outcome
from stacklab.checks.result import CheckKind, CheckStatus
from stacklab.dev.simulated.simulate import SimulatedNodes
from stacklab.errors import CheckFailed, LabError
from stacklab.model.state import NodeState
from stacklab.paths import HostPaths
from stacklab.providers import registry
from stacklab.record import LabRecord
from stacklab.workflow.check import checking
from stacklab.workflow.lab import ending
from stacklab.workflow.lab import status as lab_status
from tests.unit.checks.fake_lab import make_lab
from tests.unit.providers.libvirt.fake_libvirt import FakeLibvirt
from tests.unit.workflow.fake_host import FakeHost

# As that checkout wrote it; HOME stands for STACKLAB_HOME.
TEXT = (Path(__file__).parent / "record_v1.json").read_text()
CONTROLLER = "3454dadd-bd0f-4198-bd50-719058679fd7"


def read(host: FakeHost) -> LabRecord:
    found = registry.read(host.lab())
    assert found is not None
    return found


@pytest.fixture
def up(host: FakeHost) -> FakeHost:
    """The lab of that record, up."""
    host.up()
    host.lab().record.write_text(TEXT.replace("HOME", str(host.root)))
    libvirt = FakeLibvirt()
    for node in read(host).nodes:
        libvirt.add(node.handle["uuid"], node.handle["domain"], NodeState.RUNNING)
    for network in read(host).networks:
        libvirt.networks[network.handle["libvirt_name"]] = network.handle["uuid"]
    host.connect(libvirt)
    return host


def test_it_is_a_lab_of_libvirt_s_with_the_same_handles(up: FakeHost) -> None:
    found = read(up)
    assert found.provider == "libvirt"
    assert found.node("controller") == record.NodeRecord(
        name="controller",
        handle={
            "domain": "trio_controller",
            "uuid": CONTROLLER,
            "overlay": str(up.lab().overlay("controller")),
            "seed": str(up.lab().seed("controller")),
        },
        is_created=True,
    )
    assert found.network("net1") == record.NetworkRecord(
        name="net1",
        handle={
            "libvirt_name": "trio_net1",
            "uuid": "98374901-d8d9-402d-9420-02feecd414de",
            "bridge": "sl-trio1",
        },
    )


def test_writing_makes_it_one_of_today(up: FakeHost) -> None:
    before = read(up)
    record.write(up.lab(), before)
    assert json.loads(up.lab().record.read_text())["version"] == 2
    assert read(up) == before


def test_status_tells_what_its_nodes_do(up: FakeHost) -> None:
    up.libvirt.states[CONTROLLER] = NodeState.PAUSED
    (status,) = lab_status.status(up.context, "trio")
    assert status.states == {
        "controller": NodeState.PAUSED,
        "compute1": NodeState.RUNNING,
        "compute2": NodeState.RUNNING,
    }
    assert up.lab().record.read_text().startswith('{\n  "version": 1,'), "a look changes nothing"


def test_it_is_checked(up: FakeHost) -> None:
    lab = make_lab(retries=0)
    up.context.runner = SimulatedNodes(lab)
    results = checking.check(up.context, lab, up.lab())
    # The pretended nodes are up since an hour, later than that record has it.
    others = {r.status for r in results if r.check.kind is not CheckKind.UPTIME}
    assert others == {CheckStatus.PASSED}
    up.libvirt.states[CONTROLLER] = NodeState.OFF
    with pytest.raises(CheckFailed, match="controller"):
        outcome.raise_for_checks(lab, checking.check(up.context, lab, up.lab()))


def test_destroy_takes_all_of_it_and_nothing_is_made(up: FakeHost) -> None:
    asked = list(up.ups)
    assert ending.destroy(up.context, "trio") is True
    assert up.ups == asked
    assert (up.libvirt.states, up.libvirt.networks) == ({}, {})
    assert list(up.paths.volumes.iterdir()) == []


def test_a_record_of_a_version_to_come_is_refused(tmp_path: Path) -> None:
    paths = HostPaths(tmp_path).lab("trio")
    paths.root.mkdir(parents=True)
    paths.record.write_text(TEXT.replace('"version": 1', '"version": 3'))
    with pytest.raises(LabError, match="made by another version of stacklab"):
        registry.read(paths)
