"""What containers are started with."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from stacklab.errors import ProviderError
from stacklab.model.lab import Lab, NetworkMode, NodeKind
from stacklab.paths import HostPaths, LabPaths
from stacklab.providers import registry
from stacklab.providers.containers import plans
from stacklab.providers.containers.handles import container_of
from stacklab.record import LabRecord
from tests.unit.checks.fake_lab import make_lab
from tests.unit.providers.containers.fake_machines import CONTAINERS, MIXED


def make_record(lab: Lab, paths: LabPaths) -> LabRecord:
    return registry.new_record(
        lab, paths, image="debian-12-abc", passed_over={}, now=0, provider="containers"
    )


def render(
    root: Path, lab: Lab, *, has_kvm: bool = False
) -> tuple[LabRecord, dict[str, plans.ContainerPlan]]:
    """The lab's plans, written and read again."""
    paths = HostPaths(root).lab(lab.name)
    record = make_record(lab, paths)
    rendered = plans.render(lab, paths, record, has_kvm=has_kvm)
    assert list(rendered) == [paths.containers]
    paths.root.mkdir(parents=True)
    paths.containers.write_text(rendered[paths.containers])
    return record, dict(plans.read(paths))


def machine(record: LabRecord, node: str) -> str:
    recorded = record.node(node)
    assert recorded is not None
    return recorded.handle["machine"]


def test_only_containers_have_a_plan(tmp_path: Path) -> None:
    _, planned = render(tmp_path, MIXED)
    assert list(planned) == ["controller"]


def test_each_nic_has_an_end_of_its_own_and_only_the_first_leads_out(tmp_path: Path) -> None:
    record, planned = render(tmp_path, CONTAINERS)
    name = machine(record, "compute1")
    assert list(map(str, planned["compute1"].nics)) == [
        f"{name}-0,sl-trio0,eth0,52:54:00:00:00:01,1500,10.10.0.12/24,10.10.0.1",
        f"{name}-1,sl-trio1,eth1,52:54:00:00:01:01,1500,10.20.0.12/24,",
    ]
    ends = [nic.end for plan in planned.values() for nic in plan.nics]
    assert len(set(ends)) == 6
    assert all(len(end) <= 15 for end in ends), "the kernel takes no more"


def test_a_network_without_a_way_out_gives_no_default_route(tmp_path: Path) -> None:
    _, planned = render(tmp_path, make_lab(mode=NetworkMode.ISOLATED).all_as(NodeKind.CONTAINER))
    assert {nic.gateway for plan in planned.values() for nic in plan.nics} == {""}


def test_memory_is_that_of_the_spec(tmp_path: Path) -> None:
    _, planned = render(tmp_path, make_lab(memory_mib=512).all_as(NodeKind.CONTAINER))
    assert {plan.memory_bytes for plan in planned.values()} == {512 * 1024 * 1024}


@pytest.mark.parametrize("has_kvm", [False, True])
def test_kvm_s_devices_are_in_a_container_where_the_host_has_kvm(
    tmp_path: Path, has_kvm: bool
) -> None:
    _, planned = render(tmp_path, MIXED, has_kvm=has_kvm)
    assert ("/dev/kvm" in planned["controller"].devices) == has_kvm
    assert "/dev/net/tun" in planned["controller"].devices


@pytest.mark.parametrize(
    ("usable", "cpus", "expected"),
    [
        ({0, 1, 2, 3}, 1, ["0", "1", "2"]),  # side by side
        ({0, 1, 2, 3}, 2, ["0,1", "2,3", "0,1"]),  # then from the first again
        ({0, 1, 2}, 2, ["0,1", "0,2", "1,2"]),
        ({4, 6}, 1, ["4", "6", "4"]),  # only those that this process may use
        ({0, 1}, 8, ["0,1", "0,1", "0,1"]),  # no more than there are
    ],
)
def test_nodes_share_processors_only_when_there_are_too_few(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    usable: set[int],
    cpus: int,
    expected: list[str],
) -> None:
    monkeypatch.setattr(plans.os, "sched_getaffinity", lambda _pid: usable)
    nodes = [dataclasses.replace(node, cpus=cpus) for node in CONTAINERS.nodes]
    _, planned = render(tmp_path, dataclasses.replace(CONTAINERS, nodes=tuple(nodes)))
    assert [plan.cpus for plan in planned.values()] == expected


def test_a_node_that_is_not_on_record_is_refused(tmp_path: Path) -> None:
    paths = HostPaths(tmp_path).lab("trio")
    record = make_record(CONTAINERS, paths)
    record = dataclasses.replace(record, nodes=record.nodes[:2])
    with pytest.raises(ProviderError, match="compute2 is not on record") as caught:
        plans.render(CONTAINERS, paths, record, has_kvm=False)
    assert caught.value.hint == "./invoke lab.rebuild trio"


@pytest.mark.parametrize(
    "damage",
    [
        lambda _text: "",
        lambda text: text[:-20],
        lambda _text: "[]",
        lambda text: text.replace('"end"', '"ende"'),
        lambda text: text.replace('"mtu": 1500', '"mtu": "1500"'),
    ],
    ids=["empty", "cut off", "a list", "an unknown key", "a wrong type"],
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, damage: object) -> None:
    render(tmp_path, CONTAINERS)
    paths = HostPaths(tmp_path).lab("trio")
    text = paths.containers.read_text()
    damaged = damage(text)  # type: ignore[operator]
    assert damaged != text
    paths.containers.write_text(damaged)
    with pytest.raises(ProviderError, match=r"containers\.json can't be read") as caught:
        plans.read(paths)
    assert caught.value.hint == "./invoke lab.up trio"


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match=r"containers\.json can't be read"):
        plans.read(HostPaths(tmp_path).lab("trio"))


def test_the_file_is_json_for_people_too(tmp_path: Path) -> None:
    render(tmp_path, MIXED)
    text = HostPaths(tmp_path).lab("trio").containers.read_text()
    assert json.loads(text)["nodes"][0]["name"] == "controller"
    assert text.endswith("}\n")


@pytest.mark.parametrize("forged", ["eth0", "sl00000000-0", "", "docker0"])
def test_a_plan_that_names_another_interface_is_refused(tmp_path: Path, forged: str) -> None:
    record, planned = render(tmp_path, CONTAINERS)
    recorded = record.node("compute1")
    assert recorded is not None
    container = container_of(HostPaths(tmp_path).lab("trio"), recorded)
    plan = planned["compute1"]
    assert plans.plan_of(planned, container, lab="trio") is plan
    nics = (dataclasses.replace(plan.nics[0], end=forged), *plan.nics[1:])
    with pytest.raises(ProviderError, match="compute1: what it is started with"):
        plans.plan_of({"compute1": dataclasses.replace(plan, nics=nics)}, container, lab="trio")
    with pytest.raises(ProviderError, match="or missing"):
        plans.plan_of({}, container, lab="trio")
