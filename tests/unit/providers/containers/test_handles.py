"""Handles of containers: new for each lab, and refused where they can't be ours."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stacklab import record as records
from stacklab.errors import LabError
from stacklab.paths import HostPaths, LabPaths
from stacklab.providers import registry
from stacklab.providers.containers import handles
from tests.unit.providers.containers.fake_machines import CONTAINERS, MIXED

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def paths(tmp_path: Path) -> LabPaths:
    """Those of a mixed lab that is on record: a container, and two VMs."""
    paths = HostPaths(tmp_path).lab("trio")
    record = registry.new_record(
        MIXED, paths, image="debian-12-abc", passed_over={}, now=0, provider="containers"
    )
    records.write(paths, record)
    return paths


def change(paths: LabPaths, how: Change) -> None:
    whole = json.loads(paths.record.read_text())
    how(whole["nodes"])
    paths.record.write_text(json.dumps(whole))


def test_a_mixed_lab_has_handles_of_both_kinds(paths: LabPaths) -> None:
    record = registry.read(paths)
    assert record is not None
    kinds = {node.name: handles.is_container(node) for node in record.nodes}
    assert kinds == {"controller": True, "compute1": False, "compute2": False}
    assert [node.name for node in handles.only_vms(record).nodes] == ["compute1", "compute2"]
    assert set(record.nodes[1].handle) == {"domain", "uuid", "overlay", "seed"}


def machine_names(home: Path, lab: str = "trio") -> list[str]:
    """The names that the containers of a lab get, below a host's directory."""
    record = registry.new_record(
        CONTAINERS,
        HostPaths(home).lab(lab),
        image="x",
        passed_over={},
        now=0,
        provider="containers",
    )
    return [node.handle["machine"] for node in record.nodes]


def test_each_container_s_name_follows_from_its_place_and_fits_with_a_number_behind_it(
    tmp_path: Path,
) -> None:
    names = machine_names(tmp_path)
    assert all(re.fullmatch("sl[0-9a-f]{8}", name) for name in names)
    assert machine_names(tmp_path) == names
    others = machine_names(tmp_path / "other") + machine_names(tmp_path, "duo")
    assert len({*names, *others}) == 9


def test_a_home_has_the_same_names_by_whatever_way_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "home")
    assert machine_names(tmp_path / "link") == machine_names(tmp_path / "home")


def test_what_a_container_owns_follows_from_its_node(paths: LabPaths) -> None:
    record = registry.read(paths)
    assert record is not None
    container = handles.container_of(paths, record.nodes[0])
    volumes = paths.host.volumes
    assert container.directory == volumes / "trio_controller.container"
    assert container.seed == volumes / "trio_controller.seed.img"
    assert container.end(1) == f"{container.machine}-1"


def give(node: int, handle: object) -> Change:
    def how(nodes: list[dict[str, Any]]) -> None:
        nodes[node]["handle"] = handle

    return how  # type: ignore[return-value]


def vm_handle_on_container(nodes: list[dict[str, Any]]) -> None:
    nodes[0]["handle"] = {**nodes[1]["handle"], **nodes[0]["handle"]}


def handle_of_another_vm(nodes: list[dict[str, Any]]) -> None:
    nodes[0]["handle"] = nodes[1]["handle"]


@pytest.mark.parametrize(
    "how",
    [
        give(0, {"machine": "../x"}),
        give(0, {"machine": ""}),
        give(0, {"machine": "sl0000000"}),
        give(0, {"machine": "sl0000000g"}),
        give(0, {"machine": "SL0000000a"}),
        give(0, {"machine": "sl0000000a\n"}),
        give(0, {"machine": "sl0000000a0"}),
        give(0, {"machine": "../sl0000000a"}),
        give(0, {"machine": 7}),
        give(0, {"machine": None}),
        give(0, {"machine": ["sl0000000a"]}),
        give(0, {"machine": "sl0000000a", "directory": "/"}),
        give(0, {}),
        give(0, "machine"),
        give(1, {"machine": "../x"}),
        vm_handle_on_container,
        handle_of_another_vm,
    ],
)
def test_a_forged_handle_is_refused(paths: LabPaths, how: Change) -> None:
    change(paths, how)
    with pytest.raises(LabError) as caught:
        registry.read(paths)
    assert "record.json" in caught.value.message
    assert "ls /sys/fs/cgroup" in str(caught.value.hint)


def test_a_machine_of_another_lab_or_node_is_refused_by_name(paths: LabPaths) -> None:
    foreign = (machine_names(paths.host.root, "duo")[0], machine_names(paths.host.root)[1])
    for machine in foreign:
        change(paths, give(0, {"machine": machine}))
        with pytest.raises(LabError) as caught:
            registry.read(paths)
        assert machine in caught.value.message
        assert str(paths.container("controller")) in caught.value.message


def test_a_container_s_handle_is_refused_in_a_lab_of_vms(paths: LabPaths) -> None:
    whole = json.loads(paths.record.read_text())
    whole["provider"] = "libvirt"
    paths.record.write_text(json.dumps(whole))
    with pytest.raises(LabError, match=r"record\.json"):
        registry.read(paths)


def test_a_damaged_network_is_refused_by_libvirt_s_rules(paths: LabPaths) -> None:
    whole = json.loads(paths.record.read_text())
    whole["networks"][0]["handle"]["libvirt_name"] = "default"
    paths.record.write_text(json.dumps(whole))
    with pytest.raises(LabError, match=r"record\.json"):
        registry.read(paths)
