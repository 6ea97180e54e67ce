from __future__ import annotations

import dataclasses

import pytest

from stacklab import record
from stacklab.doctor import ProbeResult, ProbeStatus
from stacklab.images import download
from stacklab.model.state import NodeState
from stacklab.workflow import diagnose
from tests.unit.checks.fake_lab import make_lab
from tests.unit.doctor.fake_machine import make_machine
from tests.unit.workflow.fake_host import FakeHost


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "is_reachable", lambda _url: False)


def memory(host: FakeHost) -> ProbeResult:
    return next(
        probe for probe in diagnose.full(host.context, make_lab()) if probe.name == "memory"
    )


def test_nodes_that_run_have_their_memory_already(host: FakeHost) -> None:
    host.up()
    host.context.fake_machine = make_machine(available_mib=100)
    assert memory(host).status is ProbeStatus.OK
    for uuid in host.libvirt.states:
        host.libvirt.states[uuid] = NodeState.OFF
    assert memory(host).status is ProbeStatus.FAILED


def test_without_libvirtd_no_node_runs(host: FakeHost) -> None:
    host.up()
    host.connect(None)
    host.context.fake_machine = make_machine(available_mib=100)
    assert memory(host).status is ProbeStatus.FAILED


def test_a_lab_that_was_brought_up_as_containers_is_probed_as_such(host: FakeHost) -> None:
    host.up()
    kept = record.read(host.lab())
    assert kept is not None
    for uuid in host.libvirt.states:
        host.libvirt.states[uuid] = NodeState.OFF
    host.context.fake_machine = make_machine(available_mib=300)
    assert memory(host).status is ProbeStatus.FAILED
    record.write(host.lab(), dataclasses.replace(kept, all_as="container"))
    assert memory(host).status is ProbeStatus.OK


def test_without_a_lab_no_memory_is_asked_for(host: FakeHost) -> None:
    assert not [probe for probe in diagnose.full(host.context, None) if probe.name == "memory"]
