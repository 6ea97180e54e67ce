"""DevStack on containers whose host's kernel lacks openvswitch: bridges in user space."""

from __future__ import annotations

import dataclasses
from pathlib import Path, PurePosixPath

import pytest

from stacklab.installers import rendering as answers
from stacklab.model.lab import Lab, NodeKind
from stacklab.workflow.lab import kinds
from tests.unit.doctor.fake_machine import make_machine
from tests.unit.installers.devstack import devstack_labs as labs

TITLE = "prepare the container for what expects a machine"
FOLDER = PurePosixPath("/opt/stack/container")
BR_INT = "external-ids:ovn-bridge-datapath-type=netdev"


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


def script(lab: Lab, node: str, name: str = "prepare.sh") -> str:
    return answers.render(lab, labs.SECRETS)[node][FOLDER / name]


@pytest.mark.parametrize("has_module", [True, False])
def test_every_container_is_prepared_before_stack_sh(tmp_path: Path, *, has_module: bool) -> None:
    lab = on_host(labs.load(tmp_path).all_as(NodeKind.CONTAINER), has_module=has_module)
    assert "LimitNOFILE=20000" in script(lab, "compute1")
    assert "iscsid.service" in script(lab, "compute1")
    files = answers.render(lab, labs.SECRETS)["compute1"]
    assert (FOLDER / "qemu-system-x86_64" in files) is not has_module
    assert (FOLDER / "bridges.sh" in files) is not has_module
    if not has_module:
        assert BR_INT in files[FOLDER / "bridges.sh"]


def test_a_vm_is_not_prepared(tmp_path: Path) -> None:
    lab = on_host(labs.load(tmp_path), has_module=False)
    assert "OVS_DATAPATH_TYPE" not in values(lab, "controller")
    assert TITLE not in steps_of(lab, "controller")
    assert FOLDER / "prepare.sh" not in answers.render(lab, labs.SECRETS)["controller"]


def test_a_kernel_with_the_module_needs_no_user_space(tmp_path: Path) -> None:
    lab = on_host(labs.load(tmp_path).all_as(NodeKind.CONTAINER), has_module=True)
    assert "OVS_DATAPATH_TYPE" not in values(lab, "controller")


def test_tunnels_end_on_a_bridge_where_there_are_computes(tmp_path: Path) -> None:
    for computes, has_bridge in ((2, True), (0, False)):
        lab = labs.load(tmp_path, computes=computes).all_as(NodeKind.CONTAINER)
        text = script(on_host(lab, has_module=False), "controller", "bridges.sh")
        assert ("\ntake_over br-tunnel " in text) is has_bridge


def test_cinder_is_left_out_of_containers_unless_volumes_are_asked_for(tmp_path: Path) -> None:
    for stack, is_off in (({}, True), ({"volume_types": ["fast"]}, False)):
        lab = labs.load(tmp_path, **stack).all_as(NodeKind.CONTAINER)
        text = answers.render(on_host(lab, has_module=True), labs.SECRETS)["controller"]
        assert ("c-vol" in text[labs.LOCAL_CONF]) is is_off
    text = answers.render(labs.load(tmp_path), labs.SECRETS)["controller"]
    assert "c-vol" not in text[labs.LOCAL_CONF]


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
    assert BR_INT not in script(lab, "controller", "bridges.sh")
