"""What a container is started with, privileged or not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from stacklab import record
from stacklab.model.lab import NodeKind
from stacklab.paths import HostPaths
from stacklab.providers.containers import plans
from stacklab.providers.containers.kind import KIND
from tests.unit.checks.fake_lab import make_lab


def plan_of(directory: Path, *, is_privileged: bool, has_kvm: bool) -> plans.ContainerPlan:
    """The plan of a lab's only node, as it is read back."""
    lab = make_lab(nodes=("node",))
    node = dataclasses.replace(lab.nodes[0], kind=NodeKind.CONTAINER, is_privileged=is_privileged)
    lab = dataclasses.replace(lab, nodes=(node,))
    paths = HostPaths(directory).lab(lab.name)
    handles = KIND.new_handles(lab, paths)
    recorded = record.new(
        lab,
        paths,
        provider="containers",
        handles=handles,
        image="debian-12",
        passed_over={},
        now=0.0,
    )
    for path, text in plans.render(lab, paths, recorded, has_kvm=has_kvm).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return plans.read(paths)["node"]


@pytest.mark.parametrize("has_kvm", [False, True])
def test_an_unprivileged_container_has_no_device_that_leads_to_the_host(
    tmp_path: Path, has_kvm: bool
) -> None:
    plan = plan_of(tmp_path, is_privileged=False, has_kvm=has_kvm)
    assert not plan.is_privileged
    assert plan.devices == ("/dev/net/tun",)


def test_a_privileged_container_has_kvm_where_the_host_has_it(tmp_path: Path) -> None:
    with_kvm = plan_of(tmp_path, is_privileged=True, has_kvm=True)
    without = plan_of(tmp_path, is_privileged=True, has_kvm=False)
    assert with_kvm.is_privileged
    assert without.is_privileged
    assert set(with_kvm.devices) - set(without.devices) == {"/dev/kvm", "/dev/vhost-net"}
