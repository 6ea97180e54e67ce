"""Computes that come to a cloud from Debian's packages, and computes that leave it."""

from __future__ import annotations

import configparser
import dataclasses

import pytest

from stacklab import installers, spec
from stacklab.installers import rendering as answers
from stacklab.installers.debian.answers.departures import computes_program
from stacklab.installers.debian.answers.files import FOLDER
from stacklab.model.lab import Lab, NodeKind
from stacklab.model.stack import Installer, Role
from stacklab.paths.project import PROJECT

LAB = spec.load(PROJECT / "labs" / "openstack-3node.yaml")
AIO = spec.load(PROJECT / "labs" / "openstack-aio.yaml")
BRIDGES = spec.load(PROJECT / "labs" / "openstack-2node-linuxbridge.yaml")
SHRUNK = dataclasses.replace(LAB, nodes=LAB.nodes[:2])


@pytest.mark.parametrize(("lab", "has_ovn"), [(LAB, True), (BRIDGES, False)])
def test_ovn_s_databases_are_asked_where_there_are_some(lab: Lab, has_ovn: bool) -> None:
    program = computes_program(lab)
    assert ("--ovn" in program.argv) is has_ovn
    assert b"def main(" in program.stdin


@pytest.mark.parametrize("lab", [LAB, BRIDGES])
def test_the_program_finds_its_log_in_in_a_file_of_the_controller(lab: Lab) -> None:
    argv = computes_program(lab).argv
    path = argv[argv.index("--config") + 1]
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read_string(answers.preview(lab)[lab.controller.name][FOLDER / path.lstrip("/")])
    wanted = {"auth_url", "username", "password", "project_name", "region_name"}
    wanted |= {"user_domain_name", "project_domain_name"}
    assert wanted <= set(parser["neutron"])
    assert ("cafile" in parser["neutron"]) is lab.stack.has_tls


def test_an_emulated_controller_is_given_more_time() -> None:
    slow = computes_program(LAB.all_as(NodeKind.VM))
    quick = computes_program(LAB.all_as(NodeKind.CONTAINER))
    assert slow.forget_limit_s > quick.forget_limit_s > 0
    assert slow.look_limit_s > quick.look_limit_s > 0


def test_a_compute_that_is_added_changes_nothing_of_the_nodes_that_run() -> None:
    before, after = answers.preview(SHRUNK), answers.preview(LAB)
    assert {node: after[node] for node in before} == before
    old = {stage.name: stage for stage in answers.stages(SHRUNK)}
    again = [stage.name for stage in answers.stages(LAB) if old.get(stage.name) != stage]
    assert again == ["configure@compute2", "start@compute2", "services@compute2", "agents"]


def test_a_compute_that_is_added_is_known_to_those_that_vms_move_from() -> None:
    (stage,) = [stage for stage in answers.stages(LAB) if stage.name == "agents"]
    nodes = [step.node for step in stage.steps if "/etc/ssh/ssh_known_hosts" in step.command]
    assert nodes == ["compute1", "compute2"]
    (stage,) = [stage for stage in answers.stages(AIO) if stage.name == "agents"]
    assert not [step for step in stage.steps if "known_hosts" in step.command]


# --- which computes leave a cloud


def with_role(lab: Lab, name: str, role: Role) -> Lab:
    nodes = [dataclasses.replace(one, role=role) if one.name == name else one for one in lab.nodes]
    return dataclasses.replace(lab, nodes=tuple(nodes))


def test_a_compute_that_is_left_out_or_becomes_a_bystander_leaves() -> None:
    assert installers.leaving_computes(LAB, SHRUNK) == ("compute2",)
    assert installers.leaving_computes(LAB, with_role(LAB, "compute1", Role.NODE)) == ("compute1",)
    assert installers.leaving_computes(LAB, LAB) == installers.leaving_computes(SHRUNK, LAB) == ()


def test_a_controller_that_is_no_compute_any_more_does_not_leave() -> None:
    """Where a compute comes to a cloud on one node, its chassis and agents are still needed."""
    alone = dataclasses.replace(LAB, nodes=LAB.nodes[:1])
    assert installers.leaving_computes(alone, LAB) == ()


def test_nothing_leaves_a_cloud_that_is_another_one() -> None:
    other = dataclasses.replace(LAB.nodes[0], name="other")
    assert installers.leaving_computes(LAB, dataclasses.replace(LAB, nodes=(other,))) == ()
    for word in (Installer.NONE, Installer.DEVSTACK):
        lab = dataclasses.replace(SHRUNK, stack=dataclasses.replace(LAB.stack, installer=word))
        assert installers.leaving_computes(LAB, lab) == ()
        assert installers.leaving_computes(dataclasses.replace(LAB, stack=lab.stack), SHRUNK) == ()
