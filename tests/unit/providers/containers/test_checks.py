"""`lab.check` of a mixed lab: simulated nodes answer, the host's side is the provider's."""

from __future__ import annotations

import dataclasses

import pytest

from stacklab.checks import plan
from stacklab.checks.result import CheckKind, CheckResult, CheckStatus
from stacklab.dev.simulated.simulate import SimulatedNodes
from stacklab.model.lab import Lab
from stacklab.workflow.check import checking
from tests.unit.checks.fake_lab import make_lab
from tests.unit.providers.containers.fake_machines import Site, with_containers

LAB = with_containers("controller", lab=make_lab(retries=0))


@pytest.fixture
def checked(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A mixed lab that is up, whose nodes are simulated."""
    site.up(LAB)
    nodes = SimulatedNodes(LAB)
    monkeypatch.setattr(site.host.runner, "converse", nodes.converse)
    return site


def check(site: Site, lab: Lab = LAB) -> tuple[CheckResult, ...]:
    return checking.check(site.host.context, lab, site.host.lab())


def test_all_that_is_expected_of_both_kinds_passes(checked: Site) -> None:
    results = check(checked)
    assert {result.status for result in results} == {CheckStatus.PASSED}
    assert [result.check for result in results] == list(plan.expected(LAB))


def test_a_container_that_is_off_is_told_with_what_to_type(checked: Site) -> None:
    checked.provider.down(checked.record, ["controller"], patience_s=1)
    (state,) = [
        result
        for result in check(checked)
        if result.check.kind is CheckKind.STATE and result.check.node == "controller"
    ]
    assert (state.status, state.detail) == (CheckStatus.FAILED, "is off")
    group = f"{checked.machines.cgroups}/stacklab/{checked.container().machine}"
    assert state.command == f"cat {group}/cgroup.events"


def test_a_vm_that_is_off_beside_it_is_libvirt_s(checked: Site) -> None:
    checked.provider.down(checked.record, ["compute1"], patience_s=1)
    states = {
        result.check.node: result
        for result in check(checked)
        if result.check.kind is CheckKind.STATE
    }
    assert {name for name, one in states.items() if not one.is_passed} == {"compute1"}
    assert "trio_compute1" in states["compute1"].command


def test_a_node_s_kind_decides_what_is_expected() -> None:
    vms = dataclasses.replace(LAB, nodes=make_lab(retries=0).nodes)
    more = len(list(plan.expected(vms))) - len(list(plan.expected(LAB)))
    assert more == len({CheckKind.MEMORY, CheckKind.DISK, CheckKind.SWAP})
