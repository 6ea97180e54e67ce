"""Layer `cloud`: what is promised, and that nobody gets it who does not ask for it by name."""

from __future__ import annotations

import dataclasses

from stacklab import spec
from stacklab.checks import plan
from stacklab.checks.cloud import proof
from stacklab.checks.family import Facts
from stacklab.checks.result import HOST, CheckKind, Layer, Selection
from stacklab.drivers.cloud_smoke.proof import Act, ProofStep, guests, steps
from stacklab.model.lab import Lab
from stacklab.model.stack import Installer
from stacklab.nodes.protocol import Answer
from stacklab.paths.project import LABS

LAB = spec.load(LABS / "openstack-3node.yaml")
ON_REQUEST = Selection(layers=frozenset({Layer.CLOUD}))


def titles(lab: Lab, selection: Selection) -> list[str]:
    return [check.title for check in plan.expected(lab, selection)]


def test_a_check_stands_for_each_step_and_the_host_does_them_all() -> None:
    checks = list(proof.expected(LAB))
    assert {check.kind for check in checks} == {CheckKind.CLOUD}
    assert {check.node for check in checks} == {HOST}
    words = [check.subject for check in checks]
    assert words[0] == "log in at keystone"
    assert words[-1] == "delete everything again"
    assert len(set(words)) == len(words)
    for one, other in (("compute1", "compute2"), ("compute2", "compute1")):
        assert f"vm-{one} pings vm-{other}" in words
        assert f"vm-{one} logs in to vm-{other}" in words


def test_they_are_tried_only_where_their_layer_is_named() -> None:
    assert titles(LAB, ON_REQUEST) == [check.title for check in proof.expected(LAB)]
    everything = titles(LAB, Selection())
    assert everything
    assert not set(everything) & set(titles(LAB, ON_REQUEST))
    assert not set(titles(LAB, Selection(nodes=frozenset({HOST})))) & set(titles(LAB, ON_REQUEST))


def test_no_node_is_asked_and_no_answer_is_judged() -> None:
    checks = list(proof.expected(LAB))
    assert list(proof.FAMILY.parts(LAB, LAB.nodes[0], checks, Facts())) == []
    assert list(proof.FAMILY.judge(LAB, checks, Answer(), Facts())) == []


def test_a_lab_whose_cloud_nobody_can_log_in_to_has_none() -> None:
    stack = dataclasses.replace(LAB.stack, installer=Installer.PACKSTACK)
    assert list(proof.expected(dataclasses.replace(LAB, stack=stack))) == []


def test_a_single_compute_gets_two_vms_and_nothing_moves() -> None:
    assert {guest.host for guest in guests(["aio"])} == {"aio"}
    acts = {
        step.act
        for step in steps(["aio"], has_volumes=False, can_migrate=False, has_dashboard=False)
    }
    assert {Act.PINGS, Act.LOGS_IN} <= acts
    assert not acts & {Act.VOLUME, Act.MIGRATE, Act.RESIZE}


def test_volumes_are_written_in_one_vm_and_read_in_another() -> None:
    listed = steps(["one", "two"], has_volumes=True, can_migrate=False, has_dashboard=False)
    wanted = [
        ProofStep(Act.VOLUME),
        ProofStep(Act.WRITE, "vm-one"),
        ProofStep(Act.READ, "vm-one", "vm-two"),
    ]
    assert [step for step in listed if step in wanted] == wanted
    assert listed[-1].act is Act.CLEAN


def test_every_compute_is_met_and_the_steps_grow_with_their_number_only() -> None:
    names = [f"compute{number}" for number in range(1, 9)]
    pings = [
        (step.one, step.other)
        for step in steps(names, has_volumes=False, can_migrate=True, has_dashboard=False)
        if step.act is Act.PINGS
    ]
    assert {one for one, _ in pings} == {f"vm-{name}" for name in names}
    assert len(pings) == 2 * (len(names) - 1)
