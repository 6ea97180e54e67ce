"""DevStack on containers whose host's kernel lacks openvswitch: bridges in user space."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from stacklab.installers import rendering as answers
from stacklab.model.lab import Lab, NodeKind
from stacklab.workflow.lab import kinds
from tests.unit.doctor.fake_machine import make_machine
from tests.unit.installers.devstack import devstack_labs as labs

TITLE = "have ovn-controller make its bridge in user space"


def on_host(lab: Lab, *, has_module: bool) -> Lab:
    config = "CONFIG_OPENVSWITCH=y\n" if has_module else "CONFIG_X=y\n"
    return kinds.fitted(lab, make_machine(kernel_config=config))


def values(lab: Lab, node: str) -> dict[str, str]:
    return labs.values(answers.render(lab, labs.SECRETS)[node][labs.LOCAL_CONF])


def steps_of(lab: Lab, node: str) -> list[str]:
    return [step.title for step in answers.steps(lab) if step.node == node]


@pytest.mark.parametrize("node", ["controller", "compute1"])
def test_bridges_are_made_in_user_space_where_the_kernel_lacks_the_module(
    tmp_path: Path, node: str
) -> None:
    lab = on_host(labs.load(tmp_path).all_as(NodeKind.CONTAINER), has_module=False)
    assert values(lab, node)["OVS_DATAPATH_TYPE"] == "netdev"
    titles = steps_of(lab, node)
    assert titles.index(TITLE) < titles.index("run stack.sh")


@pytest.mark.parametrize("kind", list(NodeKind))
def test_a_kernel_with_the_module_and_vms_do_without(tmp_path: Path, kind: NodeKind) -> None:
    lab = labs.load(tmp_path).all_as(kind)
    lab = on_host(lab, has_module=kind is NodeKind.CONTAINER)
    assert "OVS_DATAPATH_TYPE" not in values(lab, "controller")
    assert TITLE not in steps_of(lab, "controller")


def test_a_vm_beside_a_container_has_a_kernel_of_its_own(tmp_path: Path) -> None:
    lab = labs.load(tmp_path)
    controller = dataclasses.replace(lab.nodes[0], kind=NodeKind.CONTAINER)
    lab = dataclasses.replace(lab, nodes=(controller, *lab.nodes[1:]))
    lab = on_host(lab, has_module=False)
    assert values(lab, "controller")["OVS_DATAPATH_TYPE"] == "netdev"
    assert "OVS_DATAPATH_TYPE" not in values(lab, "compute1")


def test_open_vswitch_s_own_agent_needs_the_variable_alone(tmp_path: Path) -> None:
    lab = labs.load(tmp_path, network_mode="ovs").all_as(NodeKind.CONTAINER)
    lab = on_host(lab, has_module=False)
    assert values(lab, "controller")["OVS_DATAPATH_TYPE"] == "netdev"
    assert TITLE not in steps_of(lab, "controller")
