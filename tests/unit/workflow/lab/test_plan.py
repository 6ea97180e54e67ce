from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from stacklab import record, spec
from stacklab.errors import AlreadyRunning, RenderError
from stacklab.model.lab import Lab, NetworkMode, NodeKind
from stacklab.model.state import NodeState
from stacklab.paths.project import PROJECT
from stacklab.workflow.lab.plan import plan
from tests.unit.checks.fake_lab import make_lab
from tests.unit.doctor.fake_machine import make_machine
from tests.unit.installers.contrail.labs import make_lab as make_contrail
from tests.unit.workflow.fake_host import FakeHost


def actions(host: FakeHost, lab: Lab | None = None) -> dict[str, str]:
    return {what: action for what, action, _why in plan(host.context, lab or make_lab())}


def test_of_nothing_all_is_to_be_made_on_the_image_that_is_built(host: FakeHost) -> None:
    assert actions(host) == {
        "image debian-12": "use",
        "network net0": "make",
        "network net1": "make",
        "node controller": "make",
        "node compute1": "make",
        "node compute2": "make",
    }


def test_planning_touches_nothing(host: FakeHost) -> None:
    before = sorted(host.paths.root.rglob("*"))
    plan(host.context, make_contrail())
    assert sorted(host.paths.root.rglob("*")) == before
    assert host.runner.commands == []
    assert host.libvirt.calls == []


def test_a_lab_that_does_not_fit_into_the_memory_is_planned_all_the_same(host: FakeHost) -> None:
    host.context.fake_machine = make_machine(available_mib=100)
    rows = {what: (action, why) for what, action, why in plan(host.context, make_lab())}
    assert rows["memory"][0] == "refuse"
    assert "0.1 GiB is free" in rows["memory"][1]
    assert rows["node controller"][0] == "make"


def test_nodes_that_run_have_their_memory_already(host: FakeHost) -> None:
    host.up()
    host.context.fake_machine = make_machine(available_mib=100)
    assert "memory" not in actions(host)


def test_images_that_are_not_built_are_told_in_order_until_one_that_is(host: FakeHost) -> None:
    lab = dataclasses.replace(make_lab(), images=("ubuntu-14.04", "debian-12", "centos-7"))
    images = {
        what: action for what, action in actions(host, lab).items() if what.startswith("image")
    }
    assert list(images.items()) == [("image ubuntu-14.04", "build"), ("image debian-12", "use")]


def test_images_that_cannot_be_containers_are_passed_over(host: FakeHost) -> None:
    lab = dataclasses.replace(make_lab(), images=("ubuntu-14.04", "debian-12"))
    found = actions(host, lab.all_as(NodeKind.CONTAINER))
    assert (found["image ubuntu-14.04"], found["image debian-12"]) == ("pass over", "use")


def test_of_a_lab_that_exists_each_node_is_told_by_what_it_does(host: FakeHost) -> None:
    host.up()
    kept = record.read(host.lab())
    assert kept is not None
    host.libvirt.states[kept.nodes[1].handle["uuid"]] = NodeState.OFF
    host.libvirt.states[kept.nodes[2].handle["uuid"]] = NodeState.PAUSED
    assert actions(host) == {
        "image": "keep",
        "network net0": "keep",
        "network net1": "keep",
        "node controller": "leave alone",
        "node compute1": "start",
        "node compute2": "resume",
    }


def test_a_node_that_vagrant_did_not_finish_is_told_to_be_made(host: FakeHost) -> None:
    host.up()
    kept = record.read(host.lab())
    assert kept is not None
    record.write(host.lab(), kept.with_node(dataclasses.replace(kept.nodes[1], is_created=False)))
    assert actions(host)["node compute1"] == "make"


def test_without_libvirtd_nobody_knows_what_nodes_do_and_a_plan_starts_nothing(
    host: FakeHost,
) -> None:
    host.up()
    host.connect(None)
    found = actions(host)
    assert found["node controller"] == "not known"
    assert found["libvirtd"] == "start"


def test_of_a_lab_that_does_not_exist_nothing_has_to_be_known(host: FakeHost) -> None:
    host.connect(None)
    found = actions(host)
    assert found["node controller"] == "make"
    assert "libvirtd" not in found


def test_a_bridge_of_the_host_is_joined(host: FakeHost) -> None:
    lab = make_lab()
    bridged = dataclasses.replace(lab.networks[1], mode=NetworkMode.BRIDGED, bridge="br0")
    assert (
        actions(host, dataclasses.replace(lab, networks=(lab.networks[0], bridged)))["network net1"]
        == "join"
    )


def test_answers_are_told_by_their_paths_and_never_by_their_secrets(host: FakeHost) -> None:
    rows = {
        what: why for what, action, why in plan(host.context, make_contrail()) if action == "write"
    }
    assert set(rows) == {"answers controller", "answers compute1", "answers compute2"}
    assert "/opt/stack/contrail-installer/localrc" in rows["answers controller"]
    assert "xxxx" not in str(rows)


def test_many_answers_are_counted(host: FakeHost) -> None:
    lab = spec.load(PROJECT / "labs" / "openstack-3node.yaml")
    why = {what: why for what, _action, why in plan(host.context, lab)}["answers controller"]
    assert re.fullmatch(
        r"\d\d files, among them /\S+: ./invoke answers.render openstack-3node", why
    )


def test_what_up_would_refuse_a_plan_refuses(host: FakeHost, tmp_path: Path) -> None:
    with pytest.raises(RenderError):
        plan(host.context, make_contrail(devstack_branch="stable/newton"))
    host.up()
    (tmp_path / "tasks.py").touch()
    kept = record.read(host.lab())
    assert kept is not None
    record.write(host.lab(), dataclasses.replace(kept, checkout=tmp_path))
    with pytest.raises(AlreadyRunning):
        plan(host.context, make_lab())
