"""lab.rebuild --node: one node is made again, and the others never notice."""

from __future__ import annotations

import dataclasses

import pytest

from stacklab.errors import LabError, SpecError
from stacklab.model.state import NodeState
from stacklab.workflow.lab import up as bringing
from tests.unit.providers.containers.fake_machines import CONTAINERS, MIXED, Site


@pytest.fixture
def up(site: Site) -> Site:
    site.up(MIXED)
    site.machines.calls.clear()
    site.host.ups.clear()
    return site


def test_a_container_is_removed_and_made_again(up: Site) -> None:
    before = up.record
    bringing.rebuild_node(up.host.context, MIXED, "controller", checks=False)
    assert up.machines.actions("controller")[0] == "remove"
    assert "start" in up.machines.actions("controller")
    assert up.host.ups == []
    assert set(up.states.values()) == {NodeState.RUNNING}
    assert up.record.nodes == before.nodes


def test_a_vm_is_removed_and_made_again(up: Site) -> None:
    removed = up.uuid("compute1")
    bringing.rebuild_node(up.host.context, MIXED, "compute1", checks=False)
    assert up.host.ups == [("compute1",)]
    assert up.machines.calls == []
    assert ("remove_domain", removed, "trio_compute1") in up.host.libvirt.calls
    assert set(up.states.values()) == {NodeState.RUNNING}


def test_one_that_is_cut_short_is_made_anew_by_the_next_up(
    up: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(up.provider), "remove_node", fail)
    with pytest.raises(KeyboardInterrupt):
        bringing.rebuild_node(up.host.context, MIXED, "controller", checks=False)
    monkeypatch.undo()
    recorded = up.record.node("controller")
    assert recorded is not None
    assert not recorded.is_created


def test_a_node_that_the_lab_lacks_and_a_lab_that_is_not_up_are_refused(site: Site) -> None:
    with pytest.raises(LabError, match="'compute9' is not a node of lab trio"):
        bringing.rebuild_node(site.host.context, MIXED, "compute9")
    with pytest.raises(LabError, match="lab trio is not up"):
        bringing.rebuild_node(site.host.context, MIXED, "compute1")


def test_a_spec_that_has_changed_is_refused_before_the_node_goes(up: Site) -> None:
    changed = dataclasses.replace(CONTAINERS.nodes[0], cpus=7)
    lab = dataclasses.replace(MIXED, nodes=(changed, *MIXED.nodes[1:]))
    with pytest.raises(SpecError, match="its spec has changed"):
        bringing.rebuild_node(up.host.context, lab, "controller", checks=False)
    assert up.machines.calls == []
